#include "ipvs/client.h"

#include <linux/netlink.h>

#include <cerrno>

#include "ipvs/identity.h"

namespace ipvs {

namespace {

using netlink::Deadline;
using netlink::Failure;
using netlink::Message;
using netlink::Outcome;
using netlink::RequestBatch;
using netlink::Socket;
using netlink::Stage;

// More idle sockets than this many readers at once leave behind are closed.
constexpr size_t kIdleSockets = 4;

// Only rtnetlink marks interrupted dumps today; should IPVS begin to, this bounds the repeats.
constexpr int kDumpAttempts = 8;

// How often a consistent snapshot is tried.
constexpr int kConsistentAttempts = 10;

}  // namespace

// A reading socket, taken from the idle ones and given back when the exchange ended cleanly.
class Client::Lease {
 public:
  explicit Lease(Client* client) : client_(client) {
    const std::lock_guard<std::mutex> lock(client_->idle_lock_);
    if (client_->idle_.empty()) return;
    socket_ = std::move(client_->idle_.back());
    client_->idle_.pop_back();
  }

  Socket* socket() { return &socket_; }

  void GiveBack() {
    const std::lock_guard<std::mutex> lock(client_->idle_lock_);
    if (client_->idle_.size() < kIdleSockets) client_->idle_.push_back(std::move(socket_));
  }

 private:
  Client* client_;
  Socket socket_;
};

Outcome Client::Resolve(Socket* socket) {
  uint16_t id = 0;
  Outcome outcome = netlink::ResolveFamily(socket, kFamilyName, Deadline(silence_), &id);
  family_ = outcome.ok() ? id : 0;
  if (!netlink::LeavesUsable(outcome)) socket->Close();
  // Whatever went wrong, the request itself was not sent.
  if (!outcome.ok()) outcome.stage = Stage::kFamily;
  return outcome;
}

// Opens the socket and resolves the family where that is still to be done.
Outcome Client::Ready(Socket* socket) {
  if (!socket->valid()) {
    Outcome outcome = Socket::Open(NETLINK_GENERIC, where_, socket);
    if (!outcome.ok()) return outcome;
  }
  return family_ != 0 ? Outcome{} : Resolve(socket);
}

Outcome Client::Read(const std::function<Outcome(Socket*)>& query) {
  Lease lease(this);
  Outcome outcome = Ready(lease.socket());
  if (!outcome.ok()) return outcome;
  const uint16_t before = family_;
  outcome = query(lease.socket());
  // No query of ours is answered ENOENT by IPVS itself: the family's number is stale.
  if (netlink::IsRefusal(outcome, ENOENT)) {
    outcome = Resolve(lease.socket());
    if (outcome.ok() && family_ != before) outcome = query(lease.socket());
  }
  if (netlink::LeavesUsable(outcome)) lease.GiveBack();
  return outcome;
}

Outcome Client::QueryOne(Socket* socket, Command command, const uint8_t* service,
                         const netlink::Table& table, uint16_t top, Records* found) {
  RequestBatch batch(socket);
  WriteQuery(family_, command, 0, service, &batch);
  const size_t start = found->size();
  Outcome outcome = netlink::ExchangeOne(
      socket, &batch, Deadline(silence_),
      [&](size_t, const Message& message) { return ReadRecord(table, top, message, found); });
  if (outcome.ok() && found->size() == start) return Failure(Stage::kReply, EBADMSG);
  return outcome;
}

Outcome Client::QueryAll(Socket* socket, Command command, const uint8_t* service,
                         const netlink::Table& table, uint16_t top, Records* found) {
  const size_t start = found->size();
  Outcome outcome;
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    found->resize(start);
    RequestBatch batch(socket);
    WriteQuery(family_, command, NLM_F_DUMP, service, &batch);
    outcome = netlink::Dump(socket, &batch, Deadline(silence_), [&](const Message& message) {
      return ReadRecord(table, top, message, found);
    });
    if (outcome.stage != Stage::kReply || outcome.error != EINTR) break;
  }
  if (outcome.ok()) DropDuplicates(table, start, found);
  return outcome;
}

Outcome Client::ReadService(const Records& service, Records* found) {
  return Read([&](Socket* socket) {
    return QueryOne(socket, kGetService, service.data(), kServiceTable, kAttrService, found);
  });
}

Outcome Client::ReadServices(Records* services) {
  return Read([&](Socket* socket) {
    return QueryAll(socket, kGetService, nullptr, kServiceTable, kAttrService, services);
  });
}

Outcome Client::ReadDestinations(const Records& service, Records* destinations) {
  return Read([&](Socket* socket) {
    Outcome outcome =
        QueryAll(socket, kGetDest, service.data(), kDestinationTable, kAttrDest, destinations);
    if (!outcome.ok() || !destinations->empty()) return outcome;
    Records unused;
    return QueryOne(socket, kGetService, service.data(), kServiceTable, kAttrService, &unused);
  });
}

Outcome Client::ReadOnce(Socket* socket, Snapshot* snapshot) {
  *snapshot = {};
  Outcome outcome =
      QueryAll(socket, kGetService, nullptr, kServiceTable, kAttrService, &snapshot->services);
  const size_t count = snapshot->services.size() / kServiceTable.record_size;
  for (size_t i = 0; outcome.ok() && i < count; ++i) {
    const uint8_t* service = snapshot->services.data() + i * kServiceTable.record_size;
    const size_t before = snapshot->destinations.size();
    // Of a service that vanished meanwhile there are none.
    outcome =
        QueryAll(socket, kGetDest, service, kDestinationTable, kAttrDest, &snapshot->destinations);
    const size_t added = snapshot->destinations.size() - before;
    snapshot->counts.push_back(static_cast<uint32_t>(added / kDestinationTable.record_size));
  }
  return outcome;
}

Outcome Client::ReadAll(bool consistent, Snapshot* snapshot) {
  return Read([&](Socket* socket) {
    Outcome outcome = ReadOnce(socket, snapshot);
    if (!consistent) return outcome;
    for (int attempt = 1; outcome.ok() && attempt < kConsistentAttempts; ++attempt) {
      const std::vector<std::string> before = IdentitiesOf(*snapshot);
      outcome = ReadOnce(socket, snapshot);
      if (outcome.ok() && IdentitiesOf(*snapshot) == before) return outcome;
    }
    return outcome.ok() ? Failure(Stage::kKernel, EAGAIN) : outcome;
  });
}

Outcome Client::ReadConfig(Records* config) {
  return Read([&](Socket* socket) {
    return QueryOne(socket, kGetConfig, nullptr, kConfigTable, 0, config);
  });
}

Outcome Client::ReadDaemons(Records* daemons) {
  return Read([&](Socket* socket) {
    return QueryAll(socket, kGetDaemon, nullptr, kDaemonTable, kAttrDaemon, daemons);
  });
}

Outcome Client::ReadInfo(Records* info) {
  return Read(
      [&](Socket* socket) { return QueryOne(socket, kGetInfo, nullptr, kInfoTable, 0, info); });
}

}  // namespace ipvs
