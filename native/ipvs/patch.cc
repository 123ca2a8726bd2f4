#include "ipvs/patch.h"

#include <cerrno>

namespace ipvs {

namespace {

using netlink::Load;
using netlink::Row;
using netlink::Store;
using netlink::Table;

constexpr uint32_t kPersistent = 0x01;
constexpr uint32_t kSchedulerFlags = 0x38;

// Copies the fields that the patch names, but for its flags.
void Overlay(const Table& table, const uint8_t* patch, uint8_t* record) {
  const auto present = Load<uint32_t>(patch);
  for (size_t i = 0; i < table.count; ++i) {
    const Row& row = table.rows[i];
    const bool fits = row.offset + size_t{row.size} <= table.config_size;
    if (!fits || (present >> i & 1) == 0 || row.wire == netlink::Wire::kFlags) continue;
    std::memcpy(record + row.offset, patch + row.offset, row.size);
  }
  Store<uint32_t>(record, Load<uint32_t>(record) | present);
}

// The operation of the patch, with the current record in place of the patch's.
Records Start(const uint8_t* patch, size_t offset, const Table& table, const uint8_t* current) {
  Records merged(patch, patch + OperationSize());
  Store<uint32_t>(&merged[offsetof(OperationHeader, kind)], 0);
  std::memcpy(&merged[offset], current, table.config_size);
  return merged;
}

bool SameScheduler(const ServiceRecord& one, const ServiceRecord& other) {
  return std::memcmp(one.scheduler, other.scheduler, sizeof one.scheduler) == 0;
}

uint32_t MergeFlags(const ServiceRecord& patch, const ServiceRecord& before) {
  const uint32_t mask = (patch.present & kFlagsRow) != 0 ? patch.flags_mask : 0;
  const bool switches = (patch.present & kSchedulerRow) != 0 && !SameScheduler(patch, before);
  // The flags of one scheduler mean something else, or nothing, to another.
  const uint32_t kept = switches ? before.flags & ~kSchedulerFlags : before.flags;
  return (kept & ~mask) | (patch.flags & mask);
}

ServiceRecord ServiceOf(const uint8_t* bytes) {
  ServiceRecord record{};
  std::memcpy(&record, bytes, kServiceTable.config_size);
  return record;
}

}  // namespace

netlink::Outcome MergeService(const uint8_t* patch, const uint8_t* current, Records* merged) {
  const size_t offset = OperationServiceOffset();
  const ServiceRecord wanted = ServiceOf(patch + offset);
  const ServiceRecord before = ServiceOf(current);
  const auto header = Load<OperationHeader>(patch);
  if (header.keeps_scheduler != 0 && !SameScheduler(wanted, before)) {
    return netlink::Failure(netlink::Stage::kSend, EINVAL);
  }

  *merged = Start(patch, offset, kServiceTable, current);
  uint8_t* record = merged->data() + offset;
  Overlay(kServiceTable, patch + offset, record);
  const uint32_t flags = MergeFlags(wanted, before);
  const bool becomes_persistent = (flags & ~before.flags & kPersistent) != 0;
  if (becomes_persistent && (wanted.present & kTimeoutRow) == 0) {
    Store<uint32_t>(record + offsetof(ServiceRecord, timeout), header.default_timeout);
  }
  Store<uint32_t>(record + offsetof(ServiceRecord, flags), flags);
  Store<uint32_t>(record + offsetof(ServiceRecord, flags_mask), ~uint32_t{0});
  return {};
}

void MergeDestination(const uint8_t* patch, const uint8_t* current, Records* merged) {
  const size_t offset = OperationDestinationOffset();
  *merged = Start(patch, offset, kDestinationTable, current);
  Overlay(kDestinationTable, patch + offset, merged->data() + offset);
}

}  // namespace ipvs
