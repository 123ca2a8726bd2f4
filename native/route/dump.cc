#include "route/dump.h"

#include <linux/netlink.h>

#include <cerrno>

namespace route {

namespace {

// Addresses and links come and go while they are listed, and then the kernel says so.
constexpr int kDumpAttempts = 8;

}  // namespace

netlink::Outcome DumpAll(netlink::Socket* socket, int silence, uint16_t type,
                         const std::function<void(netlink::MessageWriter*)>& begin,
                         const std::function<void()>& restart,
                         const std::function<bool(const netlink::Message&)>& read) {
  netlink::Outcome outcome;
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    restart();
    netlink::RequestBatch batch(socket);
    netlink::MessageWriter& writer = batch.Begin(type, NLM_F_DUMP);
    begin(&writer);
    writer.End();
    outcome = netlink::Dump(socket, &batch, netlink::Deadline(silence), read);
    if (outcome.stage != netlink::Stage::kReply || outcome.error != EINTR) break;
  }
  return outcome;
}

}  // namespace route
