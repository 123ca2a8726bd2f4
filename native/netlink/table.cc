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

// The row of an attribute, `count` for an unknown one. Attributes mostly come in the order of the
// table, so the search starts at the row that is expected next.
size_t FindRow(const Table& table, uint16_t id, size_t expected) {
  for (size_t n = 0; n < table.count; ++n) {
    const size_t row = expected + n < table.count ? expected + n : expected + n - table.count;
    if (table.rows[row].id == id) return row;
  }
  return table.count;
}

bool HasCounters(const Table& table, const uint8_t* record) {
  for (size_t i = 0; i < table.count; ++i) {
    if (table.rows[i].wire == Wire::kCounters) return IsPresent(record, i);
  }
  return false;
}

}  // namespace

void Encode(const Table& table, const uint8_t* record, uint32_t rows, size_t address_size,
            MessageWriter* writer) {
  for (uint32_t left = Load<uint32_t>(record + kPresent) & rows; left != 0; left &= left - 1) {
    const auto i = static_cast<size_t>(__builtin_ctz(left));
    if (i >= table.count) return;
    const Row& row = table.rows[i];
    // A request's record ends where the observed fields begin, whatever its bits say.
    if (row.offset + size_t{row.size} > table.config_size) continue;
    WriteRow(row, record, address_size, writer);
  }
}

bool Decode(const Table& table, Bytes attributes, uint8_t* record) {
  AttributeReader reader(attributes);
  AttributeView attribute;
  AttributeView old_counters;
  size_t old_row = table.count;
  size_t row = 0;
  while (reader.Next(&attribute)) {
    const size_t found = FindRow(table, attribute.type, row);
    if (found >= table.count) continue;
    row = found + 1 < table.count ? found + 1 : 0;
    // The nest of 64-bit counters wins, in whichever order the two arrive.
    if (table.rows[found].wire == Wire::kCountersOld) {
      old_counters = attribute;
      old_row = found;
      continue;
    }
    if (!ReadRow(table, table.rows[found], attribute.payload, record)) return false;
    MarkPresent(record, found);
  }
  if (reader.malformed()) return false;
  if (old_row == table.count || HasCounters(table, record)) return true;
  MarkPresent(record, old_row);
  return ReadRow(table, table.rows[old_row], old_counters.payload, record);
}

}  // namespace netlink
