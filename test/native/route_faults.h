// What the tests of faults below route/ share: every call that is there, and what it asks.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "faults.h"
#include "machine.h"
#include "route/addresses.h"
#include "route/links.h"

namespace faults {

// The namespace of the test itself.
const std::shared_ptr<netlink::NetworkNamespace> kHere;

using Outcomes = std::vector<netlink::Outcome>;

struct RouteCall {
  std::string name;
  std::function<Outcomes()> run;
  size_t readings = 0;  // before the last of which nothing is changed
  size_t dumps = 0;     // of them
  bool changes = false;
  bool over_netlink = true;  // which an announcement is not
};

std::vector<RouteCall> Calls();
// Those that change something over netlink.
std::vector<RouteCall> Changes();

// Adds an address to each of these devices, in one call.
Outcomes ChangeMany(const std::vector<std::string>& devices);
size_t CountAddresses();
// Changes of addresses, or announcements, that name these devices.
route::Records MakeChanges(const std::vector<std::string>& devices, uint32_t kind = 1);

// After a fault: the same call works.
void CheckRecovery(const RouteCall& call, model::Machine* machine);

}  // namespace faults
