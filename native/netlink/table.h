// Attributes as tables: one row names an attribute's number, its form on the wire and its place in
// a flat record. Encoding, decoding and the layout that JavaScript uses all come from the rows.
//
// A record is a run of 32-bit words: a word of bits that say which rows are present (bit n is row
// n), then the fields. Numbers are in host order, one word each whatever their width on the wire;
// addresses are 16 bytes in network order, IPv4 in the first four; texts are padded with NULs;
// counters of 64 bits are aligned to 8.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "netlink/message.h"
#include "netlink/pattern.h"

namespace netlink {

enum class Wire : uint8_t {
  kU8,
  kU16,
  kBe16,  // in network order on the wire
  kU32,
  kFlags,        // u32 value, u32 mask: two words of the record
  kRaw32,        // 4 bytes as they are (an IPv4 netmask)
  kAddress,      // 4 or 16 bytes by family
  kText,         // NUL-terminated
  kCounter,      // u32 or u64 on the wire, 64 bits in the record
  kCounters,     // a nest of kCounter; observed, never written
  kCountersOld,  // the same in 32 bits; ignored when the 64-bit nest is there too
};

struct Row {
  uint16_t id;  // the kernel's attribute number
  Wire wire;
  uint16_t offset;  // in the record, in bytes
  uint16_t size;    // in the record, in bytes
  const char* name;
};

struct Table {
  const char* name;
  const Row* rows;
  size_t count;
  size_t record_size;     // with what is observed
  size_t config_size;     // without: what a request carries
  size_t identity_end;    // what identifies a record are its bytes from 4 to here
  const Table* counters;  // of the nests of counters, if any
};

// Where a row's payload was written.
struct Place {
  Wire wire;
  uint16_t size;         // of an address: 4 or 16
  const uint8_t* field;  // in the record
  size_t at;             // in the message
};

// Writes the rows whose bit is set both in the record and in `rows`, in table order. `address_size`
// is 4 or 16. What is only observed is not written. `places` may be null.
void Encode(const Table& table, const uint8_t* record, uint32_t rows, size_t address_size,
            MessageWriter* writer, std::vector<Place>* places = nullptr);

// Where the values of one message came from and went to, so that the next message of the same
// layout is a copy of it with other values written over.
class Values {
 public:
  // Fields are found from `record` on. False when the layout depends on a value, as with texts.
  bool Learn(const std::vector<Place>& places, const uint8_t* record);
  void Overwrite(const uint8_t* record, uint8_t* message) const;

 private:
  struct Move {
    uint16_t from;
    uint16_t to;
  };
  std::vector<Move> bytes_;
  std::vector<Move> halves_;
  std::vector<Move> big_endian_halves_;
  std::vector<Move> words_;
  std::vector<Move> long_addresses_;
};

// Reads records of one table. Made for a run of messages: it knows the layout of the last one.
class Decoder {
 public:
  explicit Decoder(const Table& table) : table_(table) {}

  const Table& table() const { return table_; }

  // Fills the record (which the caller zeroed) from attributes. Unknown attributes are skipped;
  // false when one that is known is too short, or the run itself is malformed.
  bool Decode(Bytes attributes, uint8_t* record);

 private:
  const Table& table_;
  Pattern pattern_;
};

inline bool Decode(const Table& table, Bytes attributes, uint8_t* record) {
  return Decoder(table).Decode(attributes, record);
}

}  // namespace netlink
