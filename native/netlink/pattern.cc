#include "netlink/pattern.h"

#include <arpa/inet.h>

#include <algorithm>

namespace netlink {

namespace {

constexpr size_t kHeader = sizeof(uint32_t);
constexpr size_t kMostBytes = UINT16_MAX;

// From one payload or field to the next of a run.
template <typename Wire, typename Field>
struct Stride {
  static constexpr size_t kFrom = kHeader + (sizeof(Wire) + 3) / 4 * 4;
  static constexpr size_t kTo = sizeof(Field);
};

template <typename Wire, typename Field>
void CopyRun(const uint8_t* from, uint8_t* to, size_t count) {
  using Step = Stride<Wire, Field>;
  for (; count > 0; --count, from += Step::kFrom, to += Step::kTo) {
    Store<Field>(to, Load<Wire>(from));
  }
}

bool Continues(Pattern::Copy copy, size_t from, size_t to) {
  using Copy = Pattern::Copy;
  if (copy == Copy::kU32) return from == Stride<uint32_t, uint32_t>::kFrom && to == 4;
  if (copy == Copy::kU64) return from == Stride<uint64_t, uint64_t>::kFrom && to == 8;
  if (copy == Copy::kU32To64) return from == Stride<uint32_t, uint64_t>::kFrom && to == 8;
  return false;
}

size_t FieldSize(Pattern::Copy copy) { return copy == Pattern::Copy::kU32 ? 4 : 8; }

size_t WireSize(Pattern::Copy copy) { return copy == Pattern::Copy::kU64 ? 8 : 4; }

}  // namespace

void Pattern::Begin(Bytes attributes) {
  known_ = attributes.size <= kMostBytes;
  size_ = attributes.size;
  start_ = attributes.data;
  headers_.clear();
  runs_.clear();
  words_.clear();
}

void Pattern::Add(Bytes payload, Copy copy, size_t field, size_t size) {
  const auto from = static_cast<size_t>(payload.data - start_);
  headers_.push_back(
      {Load<uint32_t>(payload.data - kHeader), static_cast<uint16_t>(from - kHeader)});
  if (copy == Copy::kNothing) return;
  if (copy == Copy::kBytes && size == 16) copy = Copy::k16Bytes;
  if (!runs_.empty() && runs_.back().copy == copy) {
    Run& run = runs_.back();
    const size_t last_from = run.from + (run.count - size_t{1}) * (kHeader + WireSize(copy));
    const size_t last_to = run.to + (run.count - size_t{1}) * FieldSize(copy);
    if (Continues(copy, from - last_from, field - last_to)) {
      ++run.count;
      return;
    }
  }
  runs_.push_back({static_cast<uint16_t>(from), static_cast<uint16_t>(field),
                   static_cast<uint16_t>(size), 1, copy});
}

void Pattern::AddWord(size_t field, uint32_t value) {
  words_.push_back({static_cast<uint16_t>(field), value});
}

bool Pattern::Fits(Bytes attributes) const {
  if (!known_ || attributes.size != size_) return false;
  return std::all_of(headers_.begin(), headers_.end(), [&](const Header& header) {
    return Load<uint32_t>(attributes.data + header.at) == header.value;
  });
}

bool Pattern::Read(Bytes attributes, uint8_t* record) const {
  if (!Fits(attributes)) return false;
  for (const Run& run : runs_) {
    const uint8_t* from = attributes.data + run.from;
    uint8_t* to = record + run.to;
    switch (run.copy) {
      case Copy::kNothing:
        break;
      case Copy::kU8:
        Store<uint32_t>(to, *from);
        break;
      case Copy::kU16:
        Store<uint32_t>(to, Load<uint16_t>(from));
        break;
      case Copy::kBe16:
        Store<uint32_t>(to, ntohs(Load<uint16_t>(from)));
        break;
      case Copy::kU32:
        CopyRun<uint32_t, uint32_t>(from, to, run.count);
        break;
      case Copy::kU64:
        CopyRun<uint64_t, uint64_t>(from, to, run.count);
        break;
      case Copy::kU32To64:
        CopyRun<uint32_t, uint64_t>(from, to, run.count);
        break;
      case Copy::k16Bytes:
        std::memcpy(to, from, 16);
        break;
      case Copy::kBytes:
        std::memcpy(to, from, run.size);
        break;
    }
  }
  for (const Word& word : words_) Store<uint32_t>(record + word.to, word.value);
  return true;
}

}  // namespace netlink
