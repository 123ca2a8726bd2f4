#include "convert.h"

#include <utility>

namespace {

// Copying less costs less than having the collector call us back.
constexpr size_t kWorthHandingOver = 65536;

netlink::Bytes BytesOf(const Napi::Value& value, size_t size, bool many) {
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array) {
    const auto array = value.As<Napi::Uint8Array>();
    const size_t length = array.ByteLength();
    if (many ? length % size == 0 : length == size) return {array.Data(), length};
  }
  throw Napi::TypeError::New(value.Env(), "expected a Uint8Array of whole records");
}

template <typename Owner>
Napi::ArrayBuffer HandOver(Napi::Env env, Owner&& bytes) {
  if (bytes.size() < kWorthHandingOver) return GiveBytes(env, bytes.data(), bytes.size());
  auto kept = std::make_unique<Owner>(std::forward<Owner>(bytes));
  napi_value buffer = nullptr;
  const napi_status status = napi_create_external_arraybuffer(
      env, kept->data(), kept->size(),
      [](napi_env /*env*/, void* /*data*/, void* collected) {
        std::unique_ptr<Owner>(static_cast<Owner*>(collected)).reset();
      },
      kept.get(), &buffer);
  // Some builds of V8 (Electron's) take no memory from outside.
  if (status != napi_ok) return GiveBytes(env, kept->data(), kept->size());
  kept.release();  // NOLINT(bugprone-unused-return-value): the collector frees it
  return {env, buffer};
}

}  // namespace

std::vector<uint8_t> TakeBytes(const Napi::Value& value, size_t size, bool many) {
  const netlink::Bytes bytes = BytesOf(value, size, many);
  return {bytes.data, bytes.data + bytes.size};
}

LentBytes::LentBytes(const Napi::Value& value, size_t size) : bytes_(BytesOf(value, size, true)) {
  if (bytes_.size < kWorthHandingOver) {
    copy_.assign(bytes_.data, bytes_.data + bytes_.size);
    bytes_.data = copy_.data();
  } else {
    lender_ = Napi::Persistent(value.As<Napi::Object>());
  }
}

std::string TakeText(const Napi::Value& value) {
  if (!value.IsString()) throw Napi::TypeError::New(value.Env(), "expected a string");
  return value.As<Napi::String>().Utf8Value();
}

Napi::ArrayBuffer GiveBytes(Napi::Env env, const void* data, size_t size) {
  Napi::ArrayBuffer buffer = Napi::ArrayBuffer::New(env, size);
  if (size > 0) std::memcpy(buffer.Data(), data, size);
  return buffer;
}

Napi::ArrayBuffer GiveBytes(Napi::Env env, std::vector<uint8_t>&& bytes) {
  return HandOver(env, std::move(bytes));
}

Napi::ArrayBuffer GiveBytes(Napi::Env env, ipvs::GrowingBytes&& bytes) {
  return HandOver(env, std::move(bytes));
}

Napi::Value GiveOutcome(Napi::Env env, const netlink::Outcome& outcome) {
  if (outcome.ok()) return env.Undefined();
  Napi::Object failure = Napi::Object::New(env);
  failure.Set("stage", static_cast<int32_t>(outcome.stage));
  failure.Set("errno", outcome.error);
  failure.Set("text", outcome.text);
  return failure;
}

Napi::Value GiveRecords(Napi::Env env, const netlink::Outcome& outcome,
                        std::vector<uint8_t>&& records) {
  Napi::Object result = Napi::Object::New(env);
  result.Set("failure", GiveOutcome(env, outcome));
  if (!outcome.ok()) records.clear();
  result.Set("records", GiveBytes(env, std::move(records)));
  return result;
}

Napi::Value GiveOutcomes(Napi::Env env, const std::vector<netlink::Outcome>& outcomes) {
  std::vector<int32_t> pairs;
  pairs.reserve(2 * outcomes.size());
  Napi::Object texts = Napi::Object::New(env);
  for (size_t i = 0; i < outcomes.size(); ++i) {
    pairs.push_back(static_cast<int32_t>(outcomes[i].stage));
    pairs.push_back(outcomes[i].error);
    if (!outcomes[i].text.empty()) texts.Set(static_cast<uint32_t>(i), outcomes[i].text);
  }
  Napi::Object result = Napi::Object::New(env);
  result.Set("outcomes", GiveBytes(env, pairs.data(), pairs.size() * sizeof(int32_t)));
  result.Set("texts", texts);
  return result;
}

NamespaceChoice::NamespaceChoice(const Napi::Value& value) {
  if (value.IsString()) {
    path_ = value.As<Napi::String>().Utf8Value();
  } else if (value.IsNumber()) {
    failure_ = netlink::NetworkNamespace::Open(value.As<Napi::Number>().Int32Value(), &given_);
  } else if (!value.IsUndefined()) {
    throw Napi::TypeError::New(value.Env(), "expected a path or a descriptor");
  }
}

netlink::Outcome NamespaceChoice::Open(std::shared_ptr<netlink::NetworkNamespace>* opened) {
  if (!path_.empty()) return netlink::NetworkNamespace::Open(path_, opened);
  *opened = std::move(given_);
  return failure_;
}
