// The record boundary of addresses: whatever bytes JavaScript hands over as changes or as
// announcements (the first byte chooses), the requests that are made of them are whole, one for
// each record that names a device, and each frame is a packet of its family.

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>

#include "machine.h"
#include "route/addresses.h"
#include "route/announce.h"
#include "walk.h"

namespace {

using netlink::Bytes;

// Answers how many changes were sent together, which are none where devices are asked for.
size_t CountChanges(Bytes sent) {
  netlink::MessageReader messages(sent);
  netlink::Message message;
  size_t count = 0;
  while (messages.Next(&message)) {
    if (message.type == RTM_GETLINK) continue;
    if (message.type != RTM_NEWADDR && message.type != RTM_DELADDR) std::abort();
    if (message.payload.size < sizeof(ifaddrmsg)) std::abort();
    if (!fuzz::IsWhole(message.payload.From(sizeof(ifaddrmsg)), 0)) std::abort();
    ++count;
  }
  if (messages.malformed()) std::abort();
  return count;
}

// Of exactly the size of whole records, so that a read one byte too far is seen.
route::Records MakeRecords(Bytes bytes) {
  const size_t count = (bytes.size + route::ChangeSize() - 1) / route::ChangeSize();
  route::Records records(count * route::ChangeSize(), 0);
  std::copy_n(bytes.data, bytes.size, records.begin());
  return records;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const route::Records records = MakeRecords({data + 1, size - 1});
  constexpr int kSilence = 1000;
  const bool announces = data[0] % 2 == 1;
  size_t sent = 0;
  model::Machine machine;
  peer::Script script = machine.script();
  script.answer = [&, answer = script.answer](Bytes bytes, std::vector<peer::Reply>* replies) {
    sent += CountChanges(bytes);
    return answer(bytes, replies);
  };
  script.transmit = [&](Bytes frame) {
    fuzz::Walk(frame, 0);
    if (frame.size != sizeof(route::ArpPacket) &&
        frame.size != sizeof(route::AdvertisementPacket)) {
      std::abort();
    }
    ++sent;
    return 0;
  };
  peer::Play(script);
  std::vector<netlink::Outcome> outcomes;
  const auto call = announces ? route::Announce : route::ChangeAddresses;
  call(nullptr, records, kSilence, &outcomes);
  if (outcomes.size() * route::ChangeSize() != records.size()) std::abort();
  const auto done = std::count_if(outcomes.begin(), outcomes.end(),
                                  [](const netlink::Outcome& outcome) { return outcome.ok(); });
  if (static_cast<size_t>(done) != sent) std::abort();
  return 0;
}
