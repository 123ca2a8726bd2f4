// A dump that is repeated while the kernel says that what it lists changed meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "netlink/exchange.h"

namespace route {

using Records = std::vector<uint8_t>;

// `begin` writes the request behind its netlink header; `restart` forgets what earlier attempts
// read.
netlink::Outcome DumpAll(netlink::Socket* socket, int silence, uint16_t type,
                         const std::function<void(netlink::MessageWriter*)>& begin,
                         const std::function<void()>& restart,
                         const std::function<bool(const netlink::Message&)>& read);

// A reading that failed before a change was sent: whatever it was, nothing was changed.
inline netlink::Outcome BeforeChange(netlink::Outcome outcome) {
  if (outcome.stage == netlink::Stage::kReply) outcome.stage = netlink::Stage::kSend;
  return outcome;
}

}  // namespace route
