#include "route_faults.h"

#include <sys/socket.h>

#include "netlink/family.h"
#include "route/announce.h"
#include "route/fou.h"

namespace faults {

namespace {

using netlink::Outcome;
using netlink::Store;
using route::LinkVerb;

constexpr route::FouPort kPort = {AF_INET, 6080};

Outcomes ReadPort() {
  route::Encapsulation found{};
  return {route::ReadFouPort(kHere, kPort, kSilence, &found)};
}

Outcomes ReadDevices() {
  route::Links links;
  return {route::ReadLinks(kHere, kSilence, &links)};
}

Outcomes ReadAddressesOf(const std::string& device) {
  route::Records addresses;
  return {route::ReadAddresses(kHere, device, kSilence, &addresses)};
}

Outcomes Announce() {
  Outcomes outcomes;
  route::Announce(kHere, MakeChanges({"eth0", "eth0"}), kSilence, &outcomes);
  return outcomes;
}

std::function<Outcomes()> Change(LinkVerb verb, const std::string& parent = {}) {
  return [=] {
    return Outcomes{route::ChangeLink(kHere, {verb, "tunl7", "gre", parent}, kSilence)};
  };
}

std::function<Outcomes()> ChangePort(bool add) {
  return [=] { return Outcomes{route::ChangeGuePort(kHere, add, kPort, kSilence)}; };
}

}  // namespace

route::Records MakeChanges(const std::vector<std::string>& devices, uint32_t kind) {
  route::Records changes(devices.size() * route::ChangeSize(), 0);
  uint8_t* change = changes.data();
  uint32_t address = 1;
  for (const std::string& device : devices) {
    uint8_t* record = change + sizeof(route::ChangeHeader);
    Store<uint32_t>(change, kind);
    Store<uint32_t>(record, 1U << 1);  // the row of the local address is present
    Store<uint32_t>(record + offsetof(route::AddressRecord, local), address++);
    Store<uint32_t>(record + offsetof(route::AddressRecord, family), AF_INET);
    device.copy(reinterpret_cast<char*>(record + offsetof(route::AddressRecord, device)), 15);
    change += route::ChangeSize();
  }
  return changes;
}

Outcomes ChangeMany(const std::vector<std::string>& devices) {
  Outcomes outcomes;
  route::ChangeAddresses(kHere, MakeChanges(devices), kSilence, &outcomes);
  return outcomes;
}

size_t CountAddresses() {
  route::Records addresses;
  const Outcome outcome = route::ReadAddresses(kHere, "", kSilence, &addresses);
  Check(outcome.ok(), "addresses are read: " + Describe(outcome));
  return addresses.size() / route::kAddressTable.record_size;
}

std::vector<RouteCall> Calls() {
  return {
      {"devices", ReadDevices, 1, 1},
      {"addresses", [] { return ReadAddressesOf(""); }, 2, 2},
      {"addresses of a device", [] { return ReadAddressesOf("eth0"); }, 2, 2},
      {"port", ReadPort, 2},
      {"family", [] { return Outcomes{netlink::LoadFamily(kHere, "fou", kSilence)}; }, 1},
      {"change of addresses",
       [] {
         return ChangeMany({"eth0", "eth0", "eth0"});
       },
       1, 1, true},
      {"new device", Change(LinkVerb::kCreate), 0, 0, true},
      {"new device with a parent", Change(LinkVerb::kCreate, "eth0"), 1, 1, true},
      {"device away", Change(LinkVerb::kDelete), 0, 0, true},
      {"device up", Change(LinkVerb::kUp), 0, 0, true},
      {"new port", ChangePort(true), 1, 0, true},
      {"port away", ChangePort(false), 1, 0, true},
      {"announcement", Announce, 1, 1, true, false},
  };
}

std::vector<RouteCall> Changes() {
  std::vector<RouteCall> chosen;
  for (const RouteCall& call : Calls()) {
    if (call.changes && call.over_netlink) chosen.push_back(call);
  }
  return chosen;
}

void CheckRecovery(const RouteCall& call, model::Machine* machine) {
  const model::Machine whole;
  machine->refuse = whole.refuse;
  machine->spoil_changes = whole.spoil_changes;
  machine->spoil_reading = whole.spoil_reading;
  machine->fail_send = whole.fail_send;
  peer::Play(machine->script());
  for (const Outcome& outcome : call.run()) {
    Check(outcome.ok(), call.name + ", the next: " + Describe(outcome));
  }
  Check(CountAddresses() == machine->addresses.size(), "and what is there is read");
}

}  // namespace faults
