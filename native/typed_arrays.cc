#include "typed_arrays.h"

#include <utility>

#include "convert.h"

namespace {

using ipvs::Column;
using ipvs::Columns;
using ipvs::Element;

template <typename T>
Napi::Value ArrayOf(Napi::Env env, Napi::ArrayBuffer buffer) {
  const napi_value array =
      Napi::TypedArrayOf<T>::New(env, buffer.ByteLength() / sizeof(T), buffer, 0);
  return {env, array};
}

Napi::Value GiveColumn(Napi::Env env, Column* column) {
  const Napi::ArrayBuffer buffer = GiveBytes(env, std::move(column->bytes));
  switch (column->element) {
    case Element::kU8:
    case Element::kAddress:
      return ArrayOf<uint8_t>(env, buffer);
    case Element::kU16:
      return ArrayOf<uint16_t>(env, buffer);
    case Element::kU32:
      return ArrayOf<uint32_t>(env, buffer);
    case Element::kDouble:
      return ArrayOf<double>(env, buffer);
    case Element::kU64:
      return ArrayOf<uint64_t>(env, buffer);
  }
  return env.Undefined();
}

Napi::Value GiveWords(Napi::Env env, const std::vector<uint32_t>& words) {
  return ArrayOf<uint32_t>(env, GiveBytes(env, words.data(), words.size() * sizeof(uint32_t)));
}

Napi::Object GiveAll(Napi::Env env, Columns* columns) {
  Napi::Object stats = Napi::Object::New(env);
  for (Column& column : *columns->counters()) stats.Set(column.name, GiveColumn(env, &column));
  Napi::Object all = Napi::Object::New(env);
  all.Set("count", static_cast<uint32_t>(columns->count()));
  for (Column& column : *columns->fields()) all.Set(column.name, GiveColumn(env, &column));
  all.Set("stats", stats);
  return all;
}

}  // namespace

Napi::Object GiveColumns(Napi::Env env, ipvs::TableColumns* columns) {
  Napi::Object services = GiveAll(env, &columns->services);
  services.Set("firstDestination", GiveWords(env, columns->first_destination));
  Napi::Object destinations = GiveAll(env, &columns->destinations);
  destinations.Set("service", GiveWords(env, columns->owners));
  Napi::Object table = Napi::Object::New(env);
  table.Set("services", services);
  table.Set("destinations", destinations);
  return table;
}
