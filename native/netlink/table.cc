#include "netlink/table.h"

#include <arpa/inet.h>

#include <algorithm>

namespace netlink {

namespace {

constexpr size_t kPresent = 0;  // offset of the word of bits in every record

// These write an attribute into room that was reserved and answer where it ends.

template <typename T>
uint8_t* Put(uint8_t* at, uint16_t id, T value) {
  StoreAttributeHeader(at, id, sizeof value);
  Store<uint32_t>(at + kAttributeHeader, 0);  // what is not the value is padding
  Store<T>(at + kAttributeHeader, value);
  return at + kAttributeHeader + sizeof(uint32_t);
}

uint8_t* PutBytes(uint8_t* at, uint16_t id, const uint8_t* bytes, size_t size) {
  StoreAttributeHeader(at, id, size);
  std::memcpy(at + kAttributeHeader, bytes, size);
  return at + kAttributeHeader + size;
}

uint8_t* PutText(uint8_t* at, const Row& row, const uint8_t* field) {
  const size_t length = strnlen(reinterpret_cast<const char*>(field), row.size - size_t{1});
  const size_t padded = Align(length + 1);
  StoreAttributeHeader(at, row.id, length + 1);
  std::memset(at + kAttributeHeader, 0, padded);
  std::memcpy(at + kAttributeHeader, field, length);
  return at + kAttributeHeader + padded;
}

uint8_t* PutRow(uint8_t* at, const Row& row, const uint8_t* field, size_t address_size) {
  const auto value = Load<uint32_t>(field);
  switch (row.wire) {
    case Wire::kU8:
      return Put(at, row.id, static_cast<uint8_t>(value));
    case Wire::kU16:
      return Put(at, row.id, static_cast<uint16_t>(value));
    case Wire::kBe16:
      return Put(at, row.id, htons(static_cast<uint16_t>(value)));
    case Wire::kU32:
    case Wire::kRaw32:
      return Put(at, row.id, value);
    case Wire::kFlags:
      return PutBytes(at, row.id, field, 2 * sizeof(uint32_t));
    case Wire::kAddress:
      // Sizes that the compiler knows make it one or two instructions.
      return address_size == 4 ? Put(at, row.id, value) : PutBytes(at, row.id, field, 16);
    case Wire::kText:
      return PutText(at, row, field);
    case Wire::kCounter:
    case Wire::kCounters:
    case Wire::kCountersOld:
      break;
  }
  return at;
}

using Copy = Pattern::Copy;

// What becomes of a payload; kNothing when it is too short. The kernel's own rule for nested
// integers: at least the type's width.
Copy CopyOf(const Row& row, Bytes payload) {
  const auto unless_shorter = [&](size_t least, Copy copy) {
    return payload.size < least ? Copy::kNothing : copy;
  };
  switch (row.wire) {
    case Wire::kU8:
      return unless_shorter(sizeof(uint8_t), Copy::kU8);
    case Wire::kU16:
      return unless_shorter(sizeof(uint16_t), Copy::kU16);
    case Wire::kBe16:
      return unless_shorter(sizeof(uint16_t), Copy::kBe16);
    case Wire::kU32:
    case Wire::kRaw32:
      return unless_shorter(sizeof(uint32_t), Copy::kU32);
    case Wire::kCounter:
      return payload.size < sizeof(uint64_t) ? unless_shorter(sizeof(uint32_t), Copy::kU32To64)
                                             : Copy::kU64;
    case Wire::kFlags:
      return unless_shorter(2 * sizeof(uint32_t), Copy::kBytes);
    case Wire::kAddress:
    case Wire::kText:
      return Copy::kBytes;
    case Wire::kCounters:
    case Wire::kCountersOld:
      break;
  }
  return Copy::kNothing;
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

bool HasCounters(const Table& table, uint32_t present) {
  for (size_t i = 0; i < table.count; ++i) {
    if (table.rows[i].wire == Wire::kCounters) return (present >> i & 1) != 0;
  }
  return false;
}

bool LearnInto(const Table& table, size_t record, Bytes attributes, Pattern* pattern);

// `record` is the record's offset in the outermost one.
bool LearnRow(const Table& table, const Row& row, size_t record, Bytes payload, Pattern* pattern) {
  const size_t field = record + row.offset;
  if (row.wire == Wire::kCounters || row.wire == Wire::kCountersOld) {
    pattern->Add(payload, Copy::kNothing);
    return LearnInto(*table.counters, field, payload, pattern);
  }
  const Copy copy = CopyOf(row, payload);
  const size_t room = row.wire == Wire::kText ? row.size - size_t{1} : row.size;
  pattern->Add(payload, copy, field, std::min(payload.size, room));
  return copy != Copy::kNothing;
}

bool LearnInto(const Table& table, size_t record, Bytes attributes, Pattern* pattern) {
  AttributeReader reader(attributes);
  AttributeView attribute;
  AttributeView old_counters;
  size_t old_row = table.count;
  size_t row = 0;
  uint32_t present = 0;
  while (reader.Next(&attribute)) {
    const size_t found = FindRow(table, attribute.type, row);
    if (found >= table.count) {
      pattern->Add(attribute.payload, Copy::kNothing);
      continue;
    }
    row = found + 1 < table.count ? found + 1 : 0;
    // The nest of 64-bit counters wins, in whichever order the two arrive.
    if (table.rows[found].wire == Wire::kCountersOld) {
      pattern->Add(attribute.payload, Copy::kNothing);
      old_counters = attribute;
      old_row = found;
      continue;
    }
    if (!LearnRow(table, table.rows[found], record, attribute.payload, pattern)) return false;
    present |= uint32_t{1} << found;
  }
  if (reader.malformed()) return false;
  if (old_row < table.count && !HasCounters(table, present)) {
    if (!LearnRow(table, table.rows[old_row], record, old_counters.payload, pattern)) return false;
    present |= uint32_t{1} << old_row;
  }
  pattern->AddWord(record + kPresent, present);
  return true;
}

}  // namespace

void Encode(const Table& table, const uint8_t* record, uint32_t rows, size_t address_size,
            MessageWriter* writer, std::vector<Place>* places) {
  // No field takes more than itself, a header and padding.
  uint8_t* at = writer->Reserve(table.config_size + table.count * (kAttributeHeader + 4));
  for (uint32_t left = Load<uint32_t>(record + kPresent) & rows; left != 0; left &= left - 1) {
    const auto i = static_cast<size_t>(__builtin_ctz(left));
    if (i >= table.count) break;
    const Row& row = table.rows[i];
    // A request's record ends where the observed fields begin, whatever its bits say.
    if (row.offset + size_t{row.size} > table.config_size) continue;
    const uint8_t* field = record + row.offset;
    if (places != nullptr) {
      const auto size = static_cast<uint16_t>(row.wire == Wire::kAddress ? address_size : row.size);
      const uint8_t* payload = at + kAttributeHeader;
      places->push_back(
          {row.wire, size, field, static_cast<size_t>(payload - writer->message().data)});
    }
    at = PutRow(at, row, field, address_size);
  }
  writer->Advance(at);
}

bool Values::Learn(const std::vector<Place>& places, const uint8_t* record) {
  *this = {};
  return std::all_of(places.begin(), places.end(), [&](const Place& place) {
    const Move move{static_cast<uint16_t>(place.field - record), static_cast<uint16_t>(place.at)};
    switch (place.wire) {
      case Wire::kU8:
        bytes_.push_back(move);
        return true;
      case Wire::kU16:
        halves_.push_back(move);
        return true;
      case Wire::kBe16:
        big_endian_halves_.push_back(move);
        return true;
      case Wire::kU32:
      case Wire::kRaw32:
        words_.push_back(move);
        return true;
      case Wire::kAddress:
        (place.size == 16 ? long_addresses_ : words_).push_back(move);
        return true;
      default:
        return false;
    }
  });
}

void Values::Overwrite(const uint8_t* record, uint8_t* message) const {
  const auto value = [record](const Move& move) { return Load<uint32_t>(record + move.from); };
  for (const Move& move : words_) Store(message + move.to, value(move));
  for (const Move& move : halves_) Store(message + move.to, static_cast<uint16_t>(value(move)));
  for (const Move& move : big_endian_halves_) {
    Store(message + move.to, htons(static_cast<uint16_t>(value(move))));
  }
  for (const Move& move : bytes_) message[move.to] = static_cast<uint8_t>(value(move));
  for (const Move& move : long_addresses_) {
    std::memcpy(message + move.to, record + move.from, 16);
  }
}

bool Decoder::Decode(Bytes attributes, uint8_t* record) {
  if (pattern_.Read(attributes, record)) return true;
  pattern_.Begin(attributes);
  if (!LearnInto(table_, 0, attributes, &pattern_)) {
    pattern_.Forget();
    return false;
  }
  return pattern_.Read(attributes, record);
}

}  // namespace netlink
