// A small model of the kernel's side of the IPVS family, for the faults that a test lays over it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <vector>

#include "ipvs/codec.h"
#include "peer.h"

namespace model {

using netlink::Bytes;
using peer::Reply;

// One datagram with one message, as the kernel sends it.
Reply MakeReply(uint16_t type, uint16_t flags, uint32_t sequence,
                const std::function<void(netlink::MessageWriter*)>& write);
// NLMSG_ERROR: an acknowledgement when `error` is 0.
Reply MakeVerdict(uint32_t sequence, int error);
// A GET_SERVICE reply for the service with this firewall mark.
Reply MakeService(uint16_t family, uint16_t flags, uint32_t sequence, uint32_t fwmark);
// A GET_DAEMON reply.
Reply MakeDaemon(uint16_t family, uint32_t sequence, uint32_t state);
Reply MakeDone(uint32_t sequence, uint16_t flags = 0, int error = 0);

// The bytes of an operation on the service of a firewall mark.
ipvs::Records MakeOperation(ipvs::Command command, uint32_t fwmark);
// The bytes that identify it.
ipvs::Records MakeKey(uint32_t fwmark);

// A change that arrived, and what became of it: 0, or the errno with which it was refused.
struct Execution {
  uint32_t fwmark;
  int error;
  uint8_t command;
};

class Kernel {
 public:
  uint16_t family = 36;  // 0: the module is not there, and cannot be loaded
  std::map<uint32_t, bool> services;
  // Of the service with this firewall mark, which has one at most. It need not be there.
  std::map<uint32_t, bool> destinations;
  // The states of the sync daemons that run.
  std::vector<uint32_t> daemons;
  std::vector<Execution> executed;

  // The errno for a change of this firewall mark; 0 leaves it to the table.
  std::function<int(uint32_t fwmark)> refuse = [](uint32_t) { return 0; };
  // Lays a fault over the replies to one sendto() that is none about the family's number.
  std::function<void(std::vector<Reply>*)> spoil = [](std::vector<Reply>*) {};
  // Fails a sendto().
  std::function<int()> fail_send = [] { return 0; };

  peer::Script script();

 private:
  int Answer(Bytes sent, std::vector<Reply>* replies);
  void AnswerOne(const netlink::Message& message, std::vector<Reply>* replies);
  void AnswerFamily(const netlink::Message& message, std::vector<Reply>* replies) const;
  void AnswerDump(const netlink::Message& message, std::vector<Reply>* replies) const;
  int Execute(const netlink::Message& message, std::vector<Reply>* replies);
  int Change(uint8_t command, uint32_t fwmark);
};

}  // namespace model
