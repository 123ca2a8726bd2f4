#include "layout.h"

#include "ipvs/codec.h"
#include "route/addresses.h"
#include "route/links.h"

namespace {

const char* KindOf(netlink::Wire wire) {
  switch (wire) {
    case netlink::Wire::kU8:
    case netlink::Wire::kU16:
    case netlink::Wire::kBe16:
    case netlink::Wire::kU32:
      return "number";
    case netlink::Wire::kFlags:
      return "flags";
    case netlink::Wire::kRaw32:
    case netlink::Wire::kAddress:
      return "bytes";
    case netlink::Wire::kText:
      return "text";
    case netlink::Wire::kCounter:
    case netlink::Wire::kCounters:
    case netlink::Wire::kCountersOld:
      return "counters";
  }
  return "unknown";
}

Napi::Object DescribeTable(Napi::Env env, const netlink::Table& table) {
  Napi::Array rows = Napi::Array::New(env, table.count);
  for (size_t i = 0; i < table.count; ++i) {
    const netlink::Row& row = table.rows[i];
    Napi::Object description = Napi::Object::New(env);
    description.Set("name", row.name);
    description.Set("id", row.id);
    description.Set("kind", KindOf(row.wire));
    description.Set("offset", row.offset);
    description.Set("size", row.size);
    rows.Set(static_cast<uint32_t>(i), description);
  }
  Napi::Object description = Napi::Object::New(env);
  description.Set("rows", rows);
  description.Set("size", static_cast<uint32_t>(table.record_size));
  description.Set("configSize", static_cast<uint32_t>(table.config_size));
  return description;
}

Napi::Object DescribeAddress(Napi::Env env) {
  using route::AddressRecord;
  Napi::Object address = DescribeTable(env, route::kAddressTable);
  address.Set("family", static_cast<uint32_t>(offsetof(AddressRecord, family)));
  address.Set("prefixLength", static_cast<uint32_t>(offsetof(AddressRecord, prefix_length)));
  address.Set("scope", static_cast<uint32_t>(offsetof(AddressRecord, scope)));
  address.Set("device", static_cast<uint32_t>(offsetof(AddressRecord, device)));
  return address;
}

Napi::Object DescribeLink(Napi::Env env) {
  using route::LinkRecord;
  Napi::Object link = DescribeTable(env, route::kLinkTable);
  link.Set("addressSize", static_cast<uint32_t>(offsetof(LinkRecord, address_size)));
  link.Set("flags", static_cast<uint32_t>(offsetof(LinkRecord, flags)));
  link.Set("type", static_cast<uint32_t>(offsetof(LinkRecord, type)));
  link.Set("kind", static_cast<uint32_t>(offsetof(LinkRecord, kind)));
  return link;
}

}  // namespace

Napi::Object DescribeLayout(Napi::Env env) {
  Napi::Object operation = Napi::Object::New(env);
  operation.Set("size", static_cast<uint32_t>(ipvs::OperationSize()));
  operation.Set("service", static_cast<uint32_t>(ipvs::OperationServiceOffset()));
  operation.Set("destination", static_cast<uint32_t>(ipvs::OperationDestinationOffset()));

  Napi::Object layout = Napi::Object::New(env);
  layout.Set("operation", operation);
  layout.Set("counters", DescribeTable(env, ipvs::kCounterTable));
  layout.Set("service", DescribeTable(env, ipvs::kServiceTable));
  layout.Set("destination", DescribeTable(env, ipvs::kDestinationTable));
  layout.Set("daemon", DescribeTable(env, ipvs::kDaemonTable));
  layout.Set("config", DescribeTable(env, ipvs::kConfigTable));
  layout.Set("info", DescribeTable(env, ipvs::kInfoTable));
  layout.Set("address", DescribeAddress(env));
  layout.Set("link", DescribeLink(env));
  return layout;
}
