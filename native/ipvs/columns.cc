#include "ipvs/columns.h"

#include <algorithm>
#include <utility>

namespace ipvs {

namespace {

using netlink::Load;
using netlink::Store;

constexpr size_t kLeastBytes = 1024;

// The rows before this one are totals, the others rates.
constexpr size_t kFirstRate = 5;
static_assert(offsetof(CountersRecord, connections_per_second) ==
              offsetof(CountersRecord, connections) + kFirstRate * sizeof(uint64_t));

template <typename Field, typename Value>
void Fill(const uint8_t* from, size_t stride, size_t count, uint8_t* to) {
  for (; count > 0; --count, from += stride, to += sizeof(Value)) {
    Store<Value>(to, static_cast<Value>(Load<Field>(from)));
  }
}

struct Address {
  uint8_t bytes[16];
};

size_t SizeOf(Element element) {
  switch (element) {
    case Element::kU8:
      return 1;
    case Element::kU16:
      return 2;
    case Element::kU32:
      return 4;
    case Element::kAddress:
      return 16;
    case Element::kDouble:
    case Element::kU64:
      return 8;
  }
  return 0;
}

void AppendTo(Column* column, const uint8_t* records, size_t stride, size_t count) {
  const uint8_t* from = records + column->offset;
  uint8_t* to = column->bytes.Extend(count * SizeOf(column->element));
  switch (column->element) {
    case Element::kU8:
      return Fill<uint32_t, uint8_t>(from, stride, count, to);
    case Element::kU16:
      return Fill<uint32_t, uint16_t>(from, stride, count, to);
    case Element::kU32:
      return Fill<uint32_t, uint32_t>(from, stride, count, to);
    case Element::kAddress:
      return Fill<Address, Address>(from, stride, count, to);
    case Element::kDouble:
      return Fill<uint64_t, double>(from, stride, count, to);
    case Element::kU64:
      return Fill<uint64_t, uint64_t>(from, stride, count, to);
  }
}

}  // namespace

void GrowingBytes::Grow(size_t least) {
  capacity_ = std::max({least, 2 * capacity_, kLeastBytes});
  std::unique_ptr<uint8_t[]> larger(new uint8_t[capacity_]);  // NOLINT(modernize-avoid-c-arrays)
  if (size_ > 0) std::memcpy(larger.get(), data_.get(), size_);
  data_ = std::move(larger);
}

Columns::Columns(const netlink::Table& table, std::vector<Column> fields, size_t counters,
                 bool wide)
    : table_(&table), fields_(std::move(fields)) {
  for (size_t i = 0; i < kCounterTable.count; ++i) {
    const netlink::Row& row = kCounterTable.rows[i];
    const Element element = wide && i < kFirstRate ? Element::kU64 : Element::kDouble;
    counters_.push_back({row.name, element, counters + row.offset, {}});
  }
}

Columns Columns::OfServices(bool wide) {
  std::vector<Column> fields;
  const auto add = [&](const char* name, Element element, size_t offset) {
    fields.push_back({name, element, offset, {}});
  };
  add("family", Element::kU8, offsetof(ServiceRecord, family));
  add("address", Element::kAddress, offsetof(ServiceRecord, address));
  add("protocol", Element::kU16, offsetof(ServiceRecord, protocol));
  add("port", Element::kU16, offsetof(ServiceRecord, port));
  add("fwmark", Element::kU32, offsetof(ServiceRecord, fwmark));
  return {kServiceTable, std::move(fields), offsetof(ServiceRecord, counters), wide};
}

Columns Columns::OfDestinations(bool wide) {
  std::vector<Column> fields;
  const auto add = [&](const char* name, Element element, size_t offset) {
    fields.push_back({name, element, offset, {}});
  };
  add("family", Element::kU8, offsetof(DestinationRecord, family));
  add("address", Element::kAddress, offsetof(DestinationRecord, address));
  add("port", Element::kU16, offsetof(DestinationRecord, port));
  add("forwarding", Element::kU8, offsetof(DestinationRecord, forwarding));
  add("weight", Element::kU32, offsetof(DestinationRecord, weight));
  add("activeConnections", Element::kU32, offsetof(DestinationRecord, active_connections));
  add("inactiveConnections", Element::kU32, offsetof(DestinationRecord, inactive_connections));
  add("persistentConnections", Element::kU32, offsetof(DestinationRecord, persistent_connections));
  return {kDestinationTable, std::move(fields), offsetof(DestinationRecord, counters), wide};
}

void Columns::Append(const Records& records) {
  if (records.empty()) return;  // and point nowhere, from where there is no way to a field
  const size_t stride = table_->record_size;
  const size_t count = records.size() / stride;
  for (Column& column : fields_) AppendTo(&column, records.data(), stride, count);
  for (Column& column : counters_) AppendTo(&column, records.data(), stride, count);
  count_ += count;
}

void Columns::Reserve(size_t count) {
  for (Column& column : fields_) column.bytes.Reserve(count * SizeOf(column.element));
  for (Column& column : counters_) column.bytes.Reserve(count * SizeOf(column.element));
}

void TableColumns::AppendDestinations(const Records& records) {
  destinations.Append(records);
  const auto owner = static_cast<uint32_t>(first_destination.size() - 1);
  owners.resize(destinations.count(), owner);
  first_destination.push_back(static_cast<uint32_t>(destinations.count()));
}

}  // namespace ipvs
