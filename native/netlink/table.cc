#include "netlink/table.h"

#include <arpa/inet.h>

#include <algorithm>

namespace netlink {

namespace {

constexpr size_t kPresent = 0;  // offset of the word of bits in every record

bool IsPresent(const uint8_t* record, size_t row) {
  return (Load<uint32_t>(record + kPresent) >> row & 1) != 0;
}

void MarkPresent(uint8_t* record, size_t row) {
  Store<uint32_t>(record + kPresent, Load<uint32_t>(record + kPresent) | uint32_t{1} << row);
}

void WriteText(const Row& row, const uint8_t* field, MessageWriter* writer) {
  const auto* text = reinterpret_cast<const char*>(field);
  const size_t length = strnlen(text, row.size - size_t{1});
  uint8_t terminated[64] = {};
  std::memcpy(terminated, text, length);
  writer->Attribute(row.id, terminated, length + 1);
}

void WriteRow(const Row& row, const uint8_t* record, size_t address_size, MessageWriter* writer) {
  const uint8_t* field = record + row.offset;
  const auto value = Load<uint32_t>(field);
  switch (row.wire) {
    case Wire::kU8:
      return writer->Attribute(row.id, static_cast<uint8_t>(value));
    case Wire::kU16:
      return writer->Attribute(row.id, static_cast<uint16_t>(value));
    case Wire::kBe16:
      return writer->Attribute(row.id, htons(static_cast<uint16_t>(value)));
    case Wire::kU32:
    case Wire::kRaw32:
      return writer->Attribute(row.id, value);
    case Wire::kFlags:
      return writer->Attribute(row.id, field, 2 * sizeof(uint32_t));
    case Wire::kAddress:
      return writer->Attribute(row.id, field, address_size);
    case Wire::kText:
      return WriteText(row, field, writer);
    case Wire::kCounter:
    case Wire::kCounters:
    case Wire::kCountersOld:
      return;
  }
}

// The kernel's own rule for nested integers: at least the type's width.
template <typename T>
bool ReadNumber(Bytes payload, uint8_t* field, T (*convert)(T) = nullptr) {
  if (payload.size < sizeof(T)) return false;
  const T value = Load<T>(payload.data);
  Store<uint32_t>(field, convert != nullptr ? convert(value) : value);
  return true;
}

bool ReadCounter(Bytes payload, uint8_t* field) {
  if (payload.size < sizeof(uint32_t)) return false;
  Store<uint64_t>(field, payload.size < sizeof(uint64_t) ? Load<uint32_t>(payload.data)
                                                         : Load<uint64_t>(payload.data));
  return true;
}

bool CopyUpTo(Bytes payload, uint8_t* field, size_t most) {
  std::memcpy(field, payload.data, std::min(payload.size, most));
  return true;
}

bool ReadRow(const Table& table, const Row& row, Bytes payload, uint8_t* record) {
  uint8_t* field = record + row.offset;
  switch (row.wire) {
    case Wire::kU8:
      return ReadNumber<uint8_t>(payload, field);
    case Wire::kU16:
      return ReadNumber<uint16_t>(payload, field);
    case Wire::kBe16:
      return ReadNumber<uint16_t>(payload, field, [](uint16_t value) { return ntohs(value); });
    case Wire::kU32:
    case Wire::kRaw32:
      return ReadNumber<uint32_t>(payload, field);
    case Wire::kFlags:
      return payload.size >= 2 * sizeof(uint32_t) && CopyUpTo(payload, field, row.size);
    case Wire::kAddress:
      return CopyUpTo(payload, field, row.size);
    case Wire::kText:
      return CopyUpTo(payload, field, row.size - size_t{1});
    case Wire::kCounter:
      return ReadCounter(payload, field);
    case Wire::kCounters:
    case Wire::kCountersOld:
      return Decode(*table.counters, payload, field);
  }
  return false;
}

// The nest of 64-bit counters wins, in whichever order the two arrive.
bool IsSuperseded(const Table& table, const Row& row, const uint8_t* record) {
  if (row.wire != Wire::kCountersOld) return false;
  for (size_t i = 0; i < table.count; ++i) {
    if (table.rows[i].wire == Wire::kCounters) return IsPresent(record, i);
  }
  return false;
}

}  // namespace

void Encode(const Table& table, const uint8_t* record, uint32_t rows, size_t address_size,
            MessageWriter* writer) {
  for (size_t i = 0; i < table.count; ++i) {
    const Row& row = table.rows[i];
    // A request's record ends where the observed fields begin, whatever its bits say.
    if (row.offset + size_t{row.size} > table.config_size) continue;
    if ((rows >> i & 1) != 0 && IsPresent(record, i)) WriteRow(row, record, address_size, writer);
  }
}

bool Decode(const Table& table, Bytes attributes, uint8_t* record) {
  AttributeReader reader(attributes);
  AttributeView attribute;
  while (reader.Next(&attribute)) {
    const Row* end = table.rows + table.count;
    const Row* row =
        std::find_if(table.rows, end, [&](const Row& each) { return each.id == attribute.type; });
    if (row == end || IsSuperseded(table, *row, record)) continue;
    if (!ReadRow(table, *row, attribute.payload, record)) return false;
    MarkPresent(record, static_cast<size_t>(row - table.rows));
  }
  return !reader.malformed();
}

}  // namespace netlink
