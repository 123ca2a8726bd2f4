// How the attributes of one message were laid out and where they went, so that the next message of
// the same layout, as nearly all of a dump are, is read without being searched. Each header is
// still compared, so another layout is never taken for this one.
#pragma once

#include <cstdint>
#include <vector>

#include "netlink/bytes.h"

namespace netlink {

class Pattern {
 public:
  enum class Copy : uint8_t { kNothing, kU8, kU16, kBe16, kU32, kU64, kU32To64, k16Bytes, kBytes };

  // Starts to learn from a message.
  void Begin(Bytes attributes);
  // An attribute of it, and what becomes of its payload: `field` is its place in the record.
  void Add(Bytes payload, Copy copy, size_t field = 0, size_t size = 0);
  // A word of the record that follows from the layout.
  void AddWord(size_t field, uint32_t value);
  void Forget() { known_ = false; }

  // Fills the record, whose other bytes are zero. False when the layout is another one.
  bool Read(Bytes attributes, uint8_t* record) const;

 private:
  struct Header {
    uint32_t value;
    uint16_t at;
  };
  // Payloads one after the other that are copied alike, as counters are.
  struct Run {
    uint16_t from;  // the first payload, in the message
    uint16_t to;    // its field, in the record
    uint16_t size;  // of kBytes
    uint16_t count;
    Copy copy;
  };
  struct Word {
    uint16_t to;
    uint32_t value;
  };

  bool Fits(Bytes attributes) const;

  bool known_ = false;
  size_t size_ = 0;
  std::vector<Header> headers_;
  std::vector<Run> runs_;
  std::vector<Word> words_;
  const uint8_t* start_ = nullptr;  // of the message that is being learned
};

}  // namespace netlink
