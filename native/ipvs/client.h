// The kernel's virtual server table of one network namespace. All methods may block and may be
// called from several worker threads at once; none may be called on the main thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "ipvs/columns.h"
#include "ipvs/identity.h"
#include "netlink/exchange.h"

namespace ipvs {

class Client {
 public:
  // `silence`: how long the kernel may leave a request without a reply, in ms.
  Client(std::shared_ptr<netlink::NetworkNamespace> where, int silence)
      : where_(std::move(where)), silence_(silence) {}

  // Carries out operations (see codec.h) in order. One outcome each, or none where all were carried
  // out. One caller at a time: others wait, so that the changes of one handle are never
  // interleaved.
  void Apply(netlink::Bytes operations, std::vector<netlink::Outcome>* outcomes);
  // One outcome each.
  void Apply(const Records& operations, std::vector<netlink::Outcome>* outcomes);

  // `service` is the configuration part of a service record that identifies it.
  netlink::Outcome ReadService(const Records& service, Records* found);
  netlink::Outcome ReadServices(Records* services);
  // Fails with ESRCH when there is no such service, although the kernel answers an empty dump.
  netlink::Outcome ReadDestinations(const Records& service, Records* destinations);
  // The kernel resumes a dump by index and says nothing when the table changed meanwhile. With
  // `consistent`, reads until two readings agree on which entries there are; EAGAIN when it never
  // stands still.
  netlink::Outcome ReadAll(bool consistent, Snapshot* snapshot);
  // The destinations of these services (whole records), until so many were read or all are done;
  // `counts` tells how many services were.
  netlink::Outcome ReadPart(const Records& services, size_t enough, Snapshot* part);
  // As ReadAll(), once, as columns.
  netlink::Outcome ReadColumns(bool wide, TableColumns* columns);
  netlink::Outcome ReadConfig(Records* config);
  netlink::Outcome ReadDaemons(Records* daemons);
  netlink::Outcome ReadInfo(Records* info);

  const std::shared_ptr<netlink::NetworkNamespace>& where() const { return where_; }

 private:
  class Lease;

  // A socket, and the family's number for one exchange on it. The number is taken once and handed
  // down: another thread may learn a new one meanwhile.
  struct Channel {
    netlink::Socket* socket = nullptr;
    uint16_t family = 0;
    netlink::Socket* few = nullptr;  // of a read: for dumps of few entries
  };

  // Of a read. Where a service has few destinations, clearing large datagrams costs the kernel more
  // than they do.
  struct Sockets {
    netlink::Socket many;
    netlink::Socket few{netlink::Socket::kLeastRoom};
  };

  // Opens the socket where that is still to be done and fills in the number.
  netlink::Outcome Ready(Channel* channel);
  // Asks the kernel for the number, whatever is known.
  netlink::Outcome Resolve(Channel* channel);
  // Does an exchange, which answers false when all of it was refused with ENOENT: perhaps the
  // module was reloaded, and the number is stale. Where it is, the exchange is done again with the
  // new one. Fails when there was no number to do it with.
  netlink::Outcome Reach(Channel* channel, const std::function<bool()>& exchange);
  netlink::Outcome Read(const std::function<netlink::Outcome(const Channel&)>& query);
  netlink::Outcome QueryOne(const Channel& channel, Command command, const uint8_t* service,
                            const netlink::Table& table, uint16_t top, Records* found) const;
  netlink::Outcome QueryAll(const Channel& channel, Command command, const uint8_t* service,
                            netlink::Decoder* decoder, uint16_t top, Records* found) const;
  netlink::Outcome QueryServices(const Channel& channel, Records* services) const;
  netlink::Outcome QueryDestinations(const Channel& channel, const uint8_t* service,
                                     netlink::Decoder* decoder, Records* found);
  netlink::Outcome QueryDestinationsOf(const Channel& channel, const Records& services,
                                       size_t enough, Snapshot* snapshot);
  netlink::Outcome ReadOnce(const Channel& channel, Snapshot* snapshot);
  // Which socket the next dump of destinations is for; opened where that is still to be done.
  netlink::Outcome Choose(const Channel& channel, Channel* chosen);
  // changes.cc
  // Plain operations of one send, or another one alone. Leaves their outcomes in told_, and answers
  // whether the kernel fell silent, which they do not always say (see SendChunk).
  bool ApplySome(const uint8_t* operations, size_t count);
  bool ApplyChunk(const uint8_t* operations, size_t count);
  netlink::Outcome ApplyOne(const uint8_t* operation);
  // The last outcome is that of the last request sent, which may be one more than there are
  // operations.
  void SendChunk(uint16_t family, const uint8_t* operations, size_t count,
                 std::vector<netlink::Outcome>* outcomes);
  netlink::Outcome ApplyPatch(const uint8_t* operation);
  netlink::Outcome AddOrEdit(const uint8_t* operation);
  netlink::Outcome Merge(const uint8_t* operation, Records* merged);
  void ConfirmStop(const uint8_t* operation, netlink::Outcome* outcome);

  const std::shared_ptr<netlink::NetworkNamespace> where_;
  const int silence_;

  // The number the kernel last gave the family; 0 while it is unknown. Never a failure: each call
  // asks again, so that a module loaded later is found.
  std::atomic<uint16_t> family_{0};

  std::mutex changing_;
  netlink::Socket change_socket_;
  netlink::RequestBatch change_batch_{&change_socket_};
  OperationWriter writer_;
  std::vector<netlink::Outcome> told_;  // of the last send

  // A dump has its socket to itself until its last datagram is read, so concurrent reads take one
  // each; idle ones are kept for the next.
  std::mutex idle_lock_;
  std::vector<Sockets> idle_;

  // What was read last, for the next reading is mostly like it: whether a service had many
  // destinations, and how many there were in all.
  std::atomic<bool> had_many_{false};
  std::atomic<size_t> had_destinations_{0};
};

}  // namespace ipvs
