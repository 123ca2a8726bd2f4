#include "ipvs/identity.h"

#include <algorithm>
#include <unordered_set>

namespace ipvs {

std::string_view IdentityOf(const netlink::Table& table, const uint8_t* record) {
  constexpr size_t kStart = sizeof(uint32_t);
  return {reinterpret_cast<const char*>(record) + kStart, table.identity_end - kStart};
}

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

void InheritFamily(const uint8_t* service, size_t start, Records* destinations) {
  const auto family = netlink::Load<uint32_t>(service + offsetof(ServiceRecord, family));
  for (size_t at = start; at < destinations->size(); at += kDestinationTable.record_size) {
    uint8_t* record = destinations->data() + at;
    const auto present = netlink::Load<uint32_t>(record);
    if ((present & kDestinationFamilyRow) != 0) continue;
    netlink::Store<uint32_t>(record, present | kDestinationFamilyRow);
    netlink::Store<uint32_t>(record + offsetof(DestinationRecord, family), family);
  }
}

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

}  // namespace ipvs
