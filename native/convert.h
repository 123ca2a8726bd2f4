// What crosses the boundary: bytes in, bytes and outcomes out.
#pragma once

#include <napi.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ipvs/columns.h"
#include "netlink/namespace.h"
#include "netlink/outcome.h"

// Copies, because JavaScript may change the buffer while the worker reads it. Throws a TypeError
// unless `value` is a Uint8Array of `size` bytes, or of a multiple of it when `many`.
std::vector<uint8_t> TakeBytes(const Napi::Value& value, size_t size, bool many = false);
// The bytes of a request of many records. Few are copied; many are JavaScript's own, kept for as
// long as this lives, and must be left alone for as long. Made and destroyed on the main thread.
class LentBytes {
 public:
  LentBytes(const Napi::Value& value, size_t size);
  netlink::Bytes bytes() const { return bytes_; }

 private:
  std::vector<uint8_t> copy_;
  Napi::ObjectReference lender_;
  netlink::Bytes bytes_;
};

std::string TakeText(const Napi::Value& value);

Napi::ArrayBuffer GiveBytes(Napi::Env env, const void* data, size_t size);
// Many bytes are handed over instead of copied: 16 MB take the main thread some 10 ms.
Napi::ArrayBuffer GiveBytes(Napi::Env env, std::vector<uint8_t>&& bytes);
Napi::ArrayBuffer GiveBytes(Napi::Env env, ipvs::GrowingBytes&& bytes);

// { stage, errno, text } or undefined for success.
Napi::Value GiveOutcome(Napi::Env env, const netlink::Outcome& outcome);

// { failure, records }
Napi::Value GiveRecords(Napi::Env env, const netlink::Outcome& outcome,
                        std::vector<uint8_t>&& records);

// { outcomes: ArrayBuffer of int32 pairs (stage, errno), texts: { [index]: text } }
Napi::Value GiveOutcomes(Napi::Env env, const std::vector<netlink::Outcome>& outcomes);

// Which namespace a handle is for: nothing, a path, or a descriptor. A descriptor is duplicated at
// once, since its owner may close it; a path is opened by Open(), on a worker.
class NamespaceChoice {
 public:
  explicit NamespaceChoice(const Napi::Value& value);

  // Hands the descriptor over, so that none is left behind: once only.
  netlink::Outcome Open(std::shared_ptr<netlink::NetworkNamespace>* opened);

 private:
  std::string path_;
  std::shared_ptr<netlink::NetworkNamespace> given_;
  netlink::Outcome failure_;
};
