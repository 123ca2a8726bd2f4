// The table as columns: for each field one run of values, of all services or of all destinations.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "ipvs/codec.h"

namespace ipvs {

// What an element of a column is.
enum class Element : uint8_t {
  kU8,
  kU16,
  kU32,
  kAddress,  // 16 bytes
  kDouble,
  kU64,
};

// Bytes that grow. No vector: that would clear what is written over at once.
class GrowingBytes {
 public:
  // Room for so many bytes more; what is in them is undefined.
  uint8_t* Extend(size_t size) {
    if (size_ + size > capacity_) Grow(size_ + size);
    uint8_t* at = data_.get() + size_;
    size_ += size;
    return at;
  }
  void Reserve(size_t size) {
    if (size > capacity_) Grow(size);
  }
  uint8_t* data() const { return data_.get(); }
  size_t size() const { return size_; }

 private:
  void Grow(size_t least);

  std::unique_ptr<uint8_t[]> data_;  // NOLINT(modernize-avoid-c-arrays)
  size_t size_ = 0;
  size_t capacity_ = 0;
};

struct Column {
  const char* name;
  Element element;
  size_t offset;  // of the field in the record
  GrowingBytes bytes;
};

// The columns of one table's records.
class Columns {
 public:
  // With `wide`, totals keep all their 64 bits; else they are doubles, as rates always are.
  static Columns OfServices(bool wide);
  static Columns OfDestinations(bool wide);

  void Append(const Records& records);
  // So many are expected.
  void Reserve(size_t count);

  size_t count() const { return count_; }
  std::vector<Column>* fields() { return &fields_; }
  std::vector<Column>* counters() { return &counters_; }

 private:
  Columns(const netlink::Table& table, std::vector<Column> fields, size_t counters, bool wide);

  const netlink::Table* table_;
  size_t count_ = 0;
  std::vector<Column> fields_;
  std::vector<Column> counters_;
};

struct TableColumns {
  explicit TableColumns(bool wide)
      : services(Columns::OfServices(wide)), destinations(Columns::OfDestinations(wide)) {
    first_destination.push_back(0);
  }

  // The destinations of the next service.
  void AppendDestinations(const Records& records);

  Columns services;
  Columns destinations;
  std::vector<uint32_t> first_destination;  // of each service, and where those of the last one end
  std::vector<uint32_t> owners;             // the place of its service, of each destination
};

}  // namespace ipvs
