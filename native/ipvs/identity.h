// Which entries records stand for, whatever their settings and counters.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ipvs/codec.h"

namespace ipvs {

struct Snapshot {
  Records services;
  Records destinations;          // of all services, in their order
  std::vector<uint32_t> counts;  // how many of them belong to each service
};

std::string_view IdentityOf(const netlink::Table& table, const uint8_t* record);

// An entry that moved while the kernel walked its table arrives twice; the first one stays. Looks
// at the records from the byte `start` on.
void DropDuplicates(const netlink::Table& table, size_t start, Records* records);

// Gives destinations whose kernel does not tell their family (before 3.18) that of their service.
void InheritFamily(const uint8_t* service, size_t start, Records* destinations);

// Sorted, since the kernel's order may change between two readings.
std::vector<std::string> IdentitiesOf(const Snapshot& snapshot);

}  // namespace ipvs
