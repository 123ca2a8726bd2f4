#include "testing.h"

#include <linux/netlink.h>

#include <string>

#include "convert.h"
#include "ipvs/codec.h"
#include "typed_arrays.h"

namespace {

using netlink::Message;

// (operation: Uint8Array, family: number) -> ArrayBuffer of one request, its sequence number 1.
Napi::Value EncodeOperation(const Napi::CallbackInfo& info) {
  const std::vector<uint8_t> operation = TakeBytes(info[0], ipvs::OperationSize());
  netlink::Socket unopened;
  netlink::RequestBatch batch(&unopened);
  if (!ipvs::WriteOperation(static_cast<uint16_t>(info[1].ToNumber().Uint32Value()),
                            operation.data(), &batch)) {
    throw Napi::TypeError::New(info.Env(), "not a command that changes the table");
  }
  batch.writer().AcknowledgeLast();
  const netlink::Bytes bytes = batch.writer().bytes();
  return GiveBytes(info.Env(), bytes.data, bytes.size);
}

const netlink::Table& TableOf(const Napi::Value& name, uint16_t* top) {
  const std::string text = TakeText(name);
  *top = text == "service" ? ipvs::kAttrService : text == "destination" ? ipvs::kAttrDest : 0;
  if (text == "service") return ipvs::kServiceTable;
  if (text == "destination") return ipvs::kDestinationTable;
  if (text == "info") return ipvs::kInfoTable;
  throw Napi::TypeError::New(name.Env(), "no such table");
}

// (table: string, datagram: Uint8Array) -> ArrayBuffer of records, or undefined when malformed.
Napi::Value DecodeReplies(const Napi::CallbackInfo& info) {
  uint16_t top = 0;
  const netlink::Table& table = TableOf(info[0], &top);
  const std::vector<uint8_t> datagram = TakeBytes(info[1], 1, true);
  netlink::MessageReader messages({datagram.data(), datagram.size()});
  Message message;
  ipvs::Records records;
  while (messages.Next(&message)) {
    if (message.type < NLMSG_MIN_TYPE) continue;
    if (!ipvs::ReadRecord(table, top, message, &records)) return info.Env().Undefined();
  }
  if (messages.malformed()) return info.Env().Undefined();
  return GiveBytes(info.Env(), records.data(), records.size());
}

// (services, destinations, counts: Uint8Array, wide: boolean) -> the columns of these records.
Napi::Value MakeColumns(const Napi::CallbackInfo& info) {
  const ipvs::Records destinations = TakeBytes(info[1], ipvs::kDestinationTable.record_size, true);
  const std::vector<uint8_t> counts = TakeBytes(info[2], sizeof(uint32_t), true);
  const size_t size = ipvs::kDestinationTable.record_size;
  ipvs::TableColumns columns(info[3].ToBoolean().Value());
  columns.services.Append(TakeBytes(info[0], ipvs::kServiceTable.record_size, true));
  auto next = destinations.begin();
  for (size_t at = 0; at < counts.size(); at += sizeof(uint32_t)) {
    const auto count = netlink::Load<uint32_t>(&counts[at]);
    if (count > static_cast<size_t>(destinations.end() - next) / size) {
      throw Napi::RangeError::New(info.Env(), "more destinations are counted than there are");
    }
    const auto end = next + static_cast<ptrdiff_t>(count * size);
    columns.AppendDestinations({next, end});
    next = end;
  }
  return GiveColumns(info.Env(), &columns);
}

}  // namespace

Napi::Object DefineTesting(Napi::Env env) {
  Napi::Object testing = Napi::Object::New(env);
  testing.Set("encodeOperation", Napi::Function::New(env, EncodeOperation));
  testing.Set("decodeReplies", Napi::Function::New(env, DecodeReplies));
  testing.Set("makeColumns", Napi::Function::New(env, MakeColumns));
  return testing;
}
