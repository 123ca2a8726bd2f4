#include "ipvs/identity.h"

#include <algorithm>

namespace ipvs {

std::string_view IdentityOf(const netlink::Table& table, const uint8_t* record) {
  constexpr size_t kStart = sizeof(uint32_t);
  return {reinterpret_cast<const char*>(record) + kStart, table.identity_end - kStart};
}

namespace {

// FNV-1a, a word at a time.
size_t HashOf(std::string_view identity) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t at = 0; at + sizeof(uint32_t) <= identity.size(); at += sizeof(uint32_t)) {
    const auto* word = reinterpret_cast<const uint8_t*>(identity.data()) + at;
    hash = (hash ^ netlink::Load<uint32_t>(word)) * 0x100000001b3;
  }
  return static_cast<size_t>(hash ^ hash >> 32);
}

// Which records were seen: their numbers from 1 on, in the first free slot from their hash on.
class Seen {
 public:
  explicit Seen(size_t most) {
    size_t size = 4;
    while (size < 2 * most) size *= 2;
    slots_.resize(size);
  }

  // False when an equal one was there. `identity_of` gives the identity of a number.
  template <typename IdentityOfNumber>
  bool Add(std::string_view identity, uint32_t number, IdentityOfNumber identity_of) {
    const size_t mask = slots_.size() - 1;
    size_t slot = HashOf(identity) & mask;
    while (slots_[slot] != 0) {
      if (identity_of(slots_[slot] - 1) == identity) return false;
      slot = (slot + 1) & mask;
    }
    slots_[slot] = number + 1;
    return true;
  }

 private:
  std::vector<uint32_t> slots_;
};

}  // namespace

void DropDuplicates(const netlink::Table& table, size_t start, Records* records) {
  const size_t size = table.record_size;
  const size_t count = (records->size() - start) / size;
  uint8_t* first = records->data() + start;
  Seen seen(count);
  size_t kept = 0;
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* record = first + i * size;
    const bool is_new = seen.Add(IdentityOf(table, record), static_cast<uint32_t>(kept),
                                 [&](size_t n) { return IdentityOf(table, first + n * size); });
    if (!is_new) continue;
    if (kept != i) std::memcpy(first + kept * size, record, size);
    ++kept;
  }
  records->resize(start + kept * size);
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
