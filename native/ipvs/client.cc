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

// The module may be reloaded while it is looked for.
constexpr int kTriesToReach = 4;

// So many destinations take more datagrams of the least room than are worth it: 21 fit into one.
constexpr size_t kMany = 64;

// How often a consistent snapshot is tried.
constexpr int kConsistentAttempts = 10;

}  // namespace

// Reading sockets, taken from the idle ones and given back when the exchange ended cleanly.
class Client::Lease {
 public:
  explicit Lease(Client* client) : client_(client) {
    const std::lock_guard<std::mutex> lock(client_->idle_lock_);
    if (client_->idle_.empty()) return;
    sockets_ = std::move(client_->idle_.back());
    client_->idle_.pop_back();
  }

  Sockets* sockets() { return &sockets_; }

  void GiveBack() {
    const std::lock_guard<std::mutex> lock(client_->idle_lock_);
    if (client_->idle_.size() < kIdleSockets) client_->idle_.push_back(std::move(sockets_));
  }

 private:
  Client* client_;
  Sockets sockets_;
};

Outcome Client::Resolve(Channel* channel) {
  uint16_t id = 0;
  Outcome outcome = netlink::ResolveFamily(channel->socket, kFamilyName, Deadline(silence_), &id);
  if (!netlink::LeavesUsable(outcome)) channel->socket->Close();
  if (outcome.ok()) {
    channel->family = id;
    family_ = id;
    return outcome;
  }
  if (netlink::IsRefusal(outcome, ENOENT)) family_ = 0;
  // Whatever went wrong, the request itself was not sent.
  outcome.stage = Stage::kFamily;
  return outcome;
}

Outcome Client::Ready(Channel* channel) {
  if (!channel->socket->valid()) {
    Outcome outcome = Socket::Open(NETLINK_GENERIC, where_, channel->socket);
    if (!outcome.ok()) return outcome;
  }
  channel->family = family_;
  return channel->family != 0 ? Outcome{} : Resolve(channel);
}

// The kernel keeps its families as they are while it works on one send, so either all of it arrived
// or nothing did, and then sending it again does nothing twice.
Outcome Client::Reach(Channel* channel, const std::function<bool()>& exchange) {
  Outcome outcome = Ready(channel);
  for (int tries = 0; outcome.ok() && !exchange(); ++tries) {
    const uint16_t before = channel->family;
    outcome = Resolve(channel);
    if (channel->family == before) break;
    if (tries == kTriesToReach) outcome = Failure(Stage::kFamily, ENOENT);
  }
  return outcome;
}

Outcome Client::Read(const std::function<Outcome(const Channel&)>& query) {
  Lease lease(this);
  Channel channel{&lease.sockets()->many, 0, &lease.sockets()->few};
  Outcome outcome;
  Outcome reached = Reach(&channel, [&] {
    outcome = query(channel);
    // No query of ours is answered ENOENT by IPVS itself.
    return !netlink::IsRefusal(outcome, ENOENT);
  });
  if (!reached.ok()) return reached;
  if (netlink::LeavesUsable(outcome)) lease.GiveBack();
  return outcome;
}

Outcome Client::QueryOne(const Channel& channel, Command command, const uint8_t* service,
                         const netlink::Table& table, uint16_t top, Records* found) const {
  RequestBatch batch(channel.socket);
  WriteQuery(channel.family, command, 0, service, &batch);
  const size_t start = found->size();
  Outcome outcome = netlink::ExchangeOne(
      channel.socket, &batch, Deadline(silence_),
      [&](size_t, const Message& message) { return ReadRecord(table, top, message, found); });
  if (outcome.ok() && found->size() == start) return Failure(Stage::kReply, EBADMSG);
  return outcome;
}

Outcome Client::QueryAll(const Channel& channel, Command command, const uint8_t* service,
                         netlink::Decoder* decoder, uint16_t top, Records* found) const {
  const size_t start = found->size();
  Outcome outcome;
  for (int attempt = 0; attempt < kDumpAttempts; ++attempt) {
    found->resize(start);
    RequestBatch batch(channel.socket);
    WriteQuery(channel.family, command, NLM_F_DUMP, service, &batch);
    outcome = netlink::Dump(
        channel.socket, &batch, Deadline(silence_),
        [&](const Message& message) { return ReadRecord(decoder, top, message, found); });
    if (outcome.stage != Stage::kReply || outcome.error != EINTR) break;
  }
  if (outcome.ok()) DropDuplicates(decoder->table(), start, found);
  return outcome;
}

Outcome Client::QueryServices(const Channel& channel, Records* services) const {
  netlink::Decoder decoder(kServiceTable);
  return QueryAll(channel, kGetService, nullptr, &decoder, kAttrService, services);
}

Outcome Client::QueryDestinations(const Channel& channel, const uint8_t* service,
                                  netlink::Decoder* decoder, Records* found) {
  const size_t start = found->size();
  Channel chosen = channel;
  Outcome outcome = Choose(channel, &chosen);
  if (!outcome.ok()) return outcome;
  outcome = QueryAll(chosen, kGetDest, service, decoder, kAttrDest, found);
  InheritFamily(service, start, found);
  had_many_ = (found->size() - start) / kDestinationTable.record_size > kMany;
  return outcome;
}

Outcome Client::Choose(const Channel& channel, Channel* chosen) {
  if (had_many_) return {};
  chosen->socket = channel.few;
  return channel.few->valid() ? Outcome{} : Socket::Open(NETLINK_GENERIC, where_, channel.few);
}

Outcome Client::ReadService(const Records& service, Records* found) {
  return Read([&](const Channel& channel) {
    return QueryOne(channel, kGetService, service.data(), kServiceTable, kAttrService, found);
  });
}

Outcome Client::ReadServices(Records* services) {
  return Read([&](const Channel& channel) { return QueryServices(channel, services); });
}

Outcome Client::ReadDestinations(const Records& service, Records* destinations) {
  return Read([&](const Channel& channel) {
    netlink::Decoder decoder(kDestinationTable);
    Outcome outcome = QueryDestinations(channel, service.data(), &decoder, destinations);
    if (!outcome.ok() || !destinations->empty()) return outcome;
    Records unused;
    return QueryOne(channel, kGetService, service.data(), kServiceTable, kAttrService, &unused);
  });
}

Outcome Client::QueryDestinationsOf(const Channel& channel, const Records& services, size_t enough,
                                    Snapshot* snapshot) {
  const size_t size = kDestinationTable.record_size;
  Records* found = &snapshot->destinations;
  netlink::Decoder decoder(kDestinationTable);
  Outcome outcome;
  for (size_t at = 0; outcome.ok() && at < services.size() && found->size() / size < enough;
       at += kServiceTable.record_size) {
    const size_t before = found->size();
    // Of a service that vanished meanwhile there are none.
    outcome = QueryDestinations(channel, services.data() + at, &decoder, found);
    snapshot->counts.push_back(static_cast<uint32_t>((found->size() - before) / size));
  }
  return outcome;
}

Outcome Client::ReadOnce(const Channel& channel, Snapshot* snapshot) {
  *snapshot = {};
  Outcome outcome = QueryServices(channel, &snapshot->services);
  if (!outcome.ok()) return outcome;
  return QueryDestinationsOf(channel, snapshot->services, SIZE_MAX, snapshot);
}

Outcome Client::ReadPart(const Records& services, size_t enough, Snapshot* part) {
  return Read([&](const Channel& channel) {
    *part = {};
    return QueryDestinationsOf(channel, services, enough, part);
  });
}

Outcome Client::ReadAll(bool consistent, Snapshot* snapshot) {
  return Read([&](const Channel& channel) {
    Outcome outcome = ReadOnce(channel, snapshot);
    if (!consistent) return outcome;
    for (int attempt = 1; outcome.ok() && attempt < kConsistentAttempts; ++attempt) {
      const std::vector<std::string> before = IdentitiesOf(*snapshot);
      outcome = ReadOnce(channel, snapshot);
      if (outcome.ok() && IdentitiesOf(*snapshot) == before) return outcome;
    }
    return outcome.ok() ? Failure(Stage::kKernel, EAGAIN) : outcome;
  });
}

Outcome Client::ReadColumns(bool wide, TableColumns* columns) {
  return Read([&](const Channel& channel) {
    *columns = TableColumns(wide);
    Records services;
    Outcome outcome = QueryServices(channel, &services);
    columns->services.Append(services);
    columns->destinations.Reserve(had_destinations_);
    netlink::Decoder decoder(kDestinationTable);
    Records found;
    for (size_t at = 0; outcome.ok() && at < services.size(); at += kServiceTable.record_size) {
      found.clear();
      outcome = QueryDestinations(channel, services.data() + at, &decoder, &found);
      columns->AppendDestinations(found);
    }
    had_destinations_ = columns->destinations.count();
    return outcome;
  });
}

Outcome Client::ReadConfig(Records* config) {
  return Read([&](const Channel& channel) {
    return QueryOne(channel, kGetConfig, nullptr, kConfigTable, 0, config);
  });
}

Outcome Client::ReadDaemons(Records* daemons) {
  return Read([&](const Channel& channel) {
    netlink::Decoder decoder(kDaemonTable);
    return QueryAll(channel, kGetDaemon, nullptr, &decoder, kAttrDaemon, daemons);
  });
}

Outcome Client::ReadInfo(Records* info) {
  return Read([&](const Channel& channel) {
    return QueryOne(channel, kGetInfo, nullptr, kInfoTable, 0, info);
  });
}

}  // namespace ipvs
