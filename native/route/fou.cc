#include "route/fou.h"

#include <arpa/inet.h>
#include <linux/fou.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "netlink/family.h"
#include "route/dump.h"

namespace route {

namespace {

using netlink::AttributeReader;
using netlink::AttributeView;
using netlink::Bytes;
using netlink::Deadline;
using netlink::Failure;
using netlink::IsRefusal;
using netlink::Message;
using netlink::MessageWriter;
using netlink::NetworkNamespace;
using netlink::Outcome;
using netlink::RequestBatch;
using netlink::Socket;
using netlink::Stage;

using Where = std::shared_ptr<NetworkNamespace>;

// The module has no alias by which its family's name would load it. Asking for a device of that
// name does (net/core/dev_ioctl.c, dev_load), where we may load modules.
void LoadModule() {
  const netlink::Descriptor any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  std::strncpy(request.ifr_name, FOU_GENL_NAME, sizeof request.ifr_name - 1);
  ioctl(any.get(), SIOCGIFFLAGS, &request);  // there is no such device, and that is well
}

Outcome OpenFamily(const Where& where, int silence, Socket* socket, uint16_t* family) {
  Outcome outcome = Socket::Open(NETLINK_GENERIC, where, socket);
  if (!outcome.ok()) return outcome;
  return netlink::ResolveFamily(socket, FOU_GENL_NAME, Deadline(silence), family);
}

void WritePort(const FouPort& port, MessageWriter* writer) {
  writer->Attribute(FOU_ATTR_PORT, htons(port.port));
  writer->Attribute(FOU_ATTR_AF, port.family);
}

bool ReadType(const Message& message, Encapsulation* found) {
  uint8_t command = 0;
  Bytes bytes;
  if (!netlink::ReadGeneric(message, &command, &bytes)) return false;
  AttributeReader attributes(bytes);
  AttributeView attribute;
  while (attributes.Next(&attribute)) {
    if (attribute.type != FOU_ATTR_TYPE || attribute.payload.size == 0) continue;
    *found = static_cast<Encapsulation>(attribute.payload.data[0]);
  }
  return !attributes.malformed();
}

}  // namespace

Outcome ReadFouPort(const Where& where, const FouPort& port, int silence, Encapsulation* found) {
  *found = Encapsulation::kNone;
  Socket socket;
  uint16_t family = 0;
  Outcome outcome = OpenFamily(where, silence, &socket, &family);
  if (IsRefusal(outcome, ENOENT)) return {};
  if (!outcome.ok()) return outcome;
  RequestBatch batch(&socket);
  MessageWriter& writer = netlink::BeginGeneric(&batch, family, FOU_CMD_GET, FOU_GENL_VERSION, 0);
  WritePort(port, &writer);
  writer.End();
  outcome = netlink::ExchangeOne(
      &socket, &batch, Deadline(silence),
      [found](size_t, const Message& message) { return ReadType(message, found); });
  if (IsRefusal(outcome, ESRCH)) return {};
  // An acknowledgement alone says nothing of a port.
  if (outcome.ok() && *found == Encapsulation::kNone) return Failure(Stage::kReply, EBADMSG);
  return outcome;
}

Outcome ChangeGuePort(const Where& where, bool add, const FouPort& port, int silence) {
  Socket socket;
  uint16_t family = 0;
  Outcome outcome = OpenFamily(where, silence, &socket, &family);
  if (IsRefusal(outcome, ENOENT) && add) {
    LoadModule();
    outcome = OpenFamily(where, silence, &socket, &family);
  }
  if (!outcome.ok()) return BeforeChange(outcome);
  RequestBatch batch(&socket);
  MessageWriter& writer =
      netlink::BeginGeneric(&batch, family, add ? FOU_CMD_ADD : FOU_CMD_DEL, FOU_GENL_VERSION, 0);
  WritePort(port, &writer);
  if (add) writer.Attribute(FOU_ATTR_TYPE, static_cast<uint8_t>(Encapsulation::kGue));
  writer.End();
  return netlink::ExchangeOne(&socket, &batch, Deadline(silence));
}

}  // namespace route
