// A small model of what a kernel tells of its devices, addresses and receiving ends of tunnels, for
// the faults that a test lays over it.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "netlink/message.h"
#include "peer.h"

namespace model {

class Machine {
 public:
  std::vector<std::string> devices = {"lo", "eth0"};  // numbered from 1; "lo" is no Ethernet
  std::vector<uint32_t> addresses;                    // all of them on "eth0"
  uint16_t fou = 40;  // its family's number; 0: the module is not there
  std::set<uint16_t> ports = {6080};

  size_t readings = 0;              // requests that arrived and only ask
  std::vector<uint16_t> executed;   // what kind each change was that arrived
  std::vector<size_t> transmitted;  // the size of each frame

  // The errno for a change, told by how many arrived before; 0 carries it out.
  std::function<int(size_t before)> refuse = [](size_t) { return 0; };
  // Lay faults over the replies to one send of changes, and to a reading, told by how many there
  // were before.
  std::function<void(std::vector<peer::Reply>*)> spoil_changes = [](std::vector<peer::Reply>*) {};
  std::function<void(size_t before, std::vector<peer::Reply>*)> spoil_reading =
      [](size_t, std::vector<peer::Reply>*) {};
  // The errno with which a send fails.
  std::function<int(bool is_change)> fail_send = [](bool) { return 0; };

  peer::Script script();

 private:
  int Answer(netlink::Bytes sent, std::vector<peer::Reply>* replies);
  bool IsChange(const netlink::Message& message) const;
  void Read(const netlink::Message& message, std::vector<peer::Reply>* replies);
  void ReadFou(const netlink::Message& message, std::vector<peer::Reply>* replies) const;
  void ReadFamily(const netlink::Message& message, std::vector<peer::Reply>* replies) const;
  void Change(const netlink::Message& message, std::vector<peer::Reply>* replies);
  void CarryOut(const netlink::Message& message);
};

}  // namespace model
