#include "ipvs/client.h"

#include <linux/netlink.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <string_view>
#include <unordered_set>

namespace ipvs {

namespace {

using netlink::Deadline;
using netlink::Failure;
using netlink::Message;
using netlink::Outcome;
using netlink::RequestBatch;
using netlink::Socket;
using netlink::Stage;

// Every message of a send may fail, and the default receive buffer of a process that may not force
// it larger holds 237 replies; beyond 128 messages nothing is gained (1.2 % from the best).
constexpr size_t kMessagesPerSend = 128;

// More idle sockets than this many readers at once leave behind are closed.
constexpr size_t kIdleSockets = 4;

// Only rtnetlink marks interrupted dumps today; should IPVS begin to, this bounds the repeats.
constexpr int kDumpAttempts = 8;

bool IsRefusal(const Outcome& outcome, int error) {
  return outcome.stage == Stage::kKernel && outcome.error == error;
}

// How often a consistent snapshot is tried.
constexpr int kConsistentAttempts = 10;

std::string_view IdentityOf(const netlink::Table& table, const uint8_t* record) {
  constexpr size_t kStart = sizeof(uint32_t);
  return {reinterpret_cast<const char*>(record) + kStart, table.identity_end - kStart};
}

// An entry that moved while the kernel walked its table arrives twice; the first one stays.
void DropDuplicates(const netlink::Table& table, size_t start, Records* records) {
  std::unordered_set<std::string> seen;
  size_t kept = start;
  for (size_t at = start; at < records->size(); at += table.record_size) {
    uint8_t* record = records->data() + at;
    if (!seen.emplace(IdentityOf(table, record)).second) continue;
    if (kept != at) std::memcpy(records->data() + kept, record, table.record_size);
    kept += table.record_size;
  }
  records->resize(kept);
}

// Which entries a snapshot has, in an order of its own: the kernel's may change between readings.
std::vector<std::string> IdentitiesOf(const Snapshot& snapshot) {
  std::vector<std::string> identities;
  const uint8_t* destination = snapshot.destinations.data();
  for (size_t i = 0; i < snapshot.counts.size(); ++i) {
    const std::string service(
        IdentityOf(kServiceTable, snapshot.services.data() + i * kServiceTable.record_size));
    identities.push_back(service);
    for (uint32_t n = 0; n < snapshot.counts[i]; ++n) {
      identities.push_back(service + std::string(IdentityOf(kDestinationTable, destination)));
      destination += kDestinationTable.record_size;
    }
  }
  std::sort(identities.begin(), identities.end());
  return identities;
}

// A socket on which replies may still be under way must not see another request.
bool IsUsable(const Outcome& outcome) {
  return outcome.stage != Stage::kReply && outcome.stage != Stage::kSend;
}

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
  if (!IsUsable(outcome)) socket->Close();
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

Outcome Client::SendChunk(const uint8_t* operations, size_t count, std::vector<Outcome>* outcomes) {
  Outcome outcome = Ready(&change_socket_);
  RequestBatch batch(&change_socket_);
  for (size_t i = 0; outcome.ok() && i < count; ++i) {
    if (!WriteOperation(family_, operations + i * OperationSize(), &batch)) {
      outcome = Failure(Stage::kSend, EOPNOTSUPP);
    }
  }
  if (!outcome.ok()) {
    outcomes->assign(count, outcome);
    return outcome;
  }
  outcome = netlink::Exchange(&change_socket_, &batch, Deadline(silence_), outcomes);
  if (!IsUsable(outcome)) change_socket_.Close();
  return outcome;
}

void Client::ApplyChunk(const uint8_t* operations, size_t count, Outcome* outcomes) {
  std::vector<Outcome> told;
  SendChunk(operations, count, &told);
  // ENOENT also means that the family's number is stale (the module was reloaded), and then every
  // message has it. Nothing was executed, so sending again is safe.
  const bool maybe_stale = std::all_of(
      told.begin(), told.end(), [](const Outcome& outcome) { return IsRefusal(outcome, ENOENT); });
  if (maybe_stale) {
    const uint16_t before = family_;
    const Outcome resolved = Resolve(&change_socket_);
    if (!resolved.ok()) told.assign(count, resolved);
    if (resolved.ok() && family_ != before) SendChunk(operations, count, &told);
  }
  std::move(told.begin(), told.end(), outcomes);
}

void Client::Apply(const Records& operations, std::vector<Outcome>* outcomes) {
  const std::lock_guard<std::mutex> lock(changing_);
  const size_t count = operations.size() / OperationSize();
  // What is not reached (see below) was not sent.
  outcomes->assign(count, Failure(Stage::kSend, ECANCELED));
  for (size_t done = 0; done < count; done += kMessagesPerSend) {
    const size_t size = std::min(kMessagesPerSend, count - done);
    ApplyChunk(operations.data() + done * OperationSize(), size, outcomes->data() + done);
    // A kernel that does not answer would cost the whole silence again for every further chunk.
    const Outcome& last = (*outcomes)[done + size - 1];
    if (last.stage == Stage::kReply && last.error == ETIMEDOUT) return;
  }
}

Outcome Client::Read(const std::function<Outcome(Socket*)>& query) {
  Lease lease(this);
  Outcome outcome = Ready(lease.socket());
  if (!outcome.ok()) return outcome;
  const uint16_t before = family_;
  outcome = query(lease.socket());
  // No query of ours is answered ENOENT by IPVS itself: the family's number is stale.
  if (IsRefusal(outcome, ENOENT)) {
    outcome = Resolve(lease.socket());
    if (outcome.ok() && family_ != before) outcome = query(lease.socket());
  }
  if (IsUsable(outcome)) lease.GiveBack();
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

Outcome Client::ReadInfo(Records* info) {
  return Read(
      [&](Socket* socket) { return QueryOne(socket, kGetInfo, nullptr, kInfoTable, 0, info); });
}

}  // namespace ipvs
