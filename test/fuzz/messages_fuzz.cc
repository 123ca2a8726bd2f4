// The framing: one datagram, its messages, their attributes.

#include "netlink/family.h"
#include "walk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  netlink::MessageReader messages({data, size});
  netlink::Message message;
  volatile size_t sum = 0;
  while (messages.Next(&message)) {
    sum = sum + fuzz::Walk(message.payload, 0);
    uint8_t command = 0;
    netlink::Bytes attributes;
    if (netlink::ReadGeneric(message, &command, &attributes)) sum = sum + fuzz::Walk(attributes, 3);
  }
  return 0;
}
