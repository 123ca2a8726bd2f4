#include "ipvs/codec.h"

#include <sys/socket.h>

#include <algorithm>

namespace ipvs {

namespace {

using netlink::Load;
using netlink::MessageWriter;
using netlink::Place;
using netlink::Wire;

size_t AddressSize(uint32_t family) { return family == AF_INET ? 4 : 16; }

void WriteService(const uint8_t* service, uint32_t rows, MessageWriter* writer,
                  std::vector<Place>* places) {
  const auto family = Load<uint32_t>(service + offsetof(ServiceRecord, family));
  const size_t nest = writer->BeginNest(kAttrService);
  netlink::Encode(kServiceTable, service, rows, AddressSize(family), writer, places);
  writer->EndNest(nest);
}

void WriteDestination(const uint8_t* destination, const uint8_t* service, MessageWriter* writer,
                      std::vector<Place>* places) {
  const auto family = Load<uint32_t>(destination + offsetof(DestinationRecord, family));
  const bool is_its_services = family == Load<uint32_t>(service + offsetof(ServiceRecord, family));
  const uint32_t rows = is_its_services ? kAllRows & ~kDestinationFamilyRow : kAllRows;
  const size_t nest = writer->BeginNest(kAttrDest);
  netlink::Encode(kDestinationTable, destination, rows, AddressSize(family), writer, places);
  writer->EndNest(nest);
}

// They take the place of a service record in an operation.
static_assert(sizeof(DaemonRecord) <= offsetof(ServiceRecord, counters));
static_assert(sizeof(ConfigRecord) <= offsetof(ServiceRecord, counters));

size_t ServiceFamilyOffset() { return OperationServiceOffset() + offsetof(ServiceRecord, family); }

size_t DestinationFamilyOffset() {
  return OperationDestinationOffset() + offsetof(DestinationRecord, family);
}

bool IsEmpty(const uint8_t* record) { return Load<uint32_t>(record) == 0; }

void WriteDaemon(const uint8_t* daemon, MessageWriter* writer) {
  const size_t nest = writer->BeginNest(kAttrDaemon);
  netlink::Encode(kDaemonTable, daemon, kAllRows, 16, writer);
  writer->EndNest(nest);
}

bool ChangesSomething(uint32_t command) {
  switch (command) {
    case kNewService:
    case kSetService:
    case kDelService:
    case kNewDest:
    case kSetDest:
    case kDelDest:
    case kNewDaemon:
    case kDelDaemon:
    case kSetConfig:
    case kZero:
    case kFlush:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool WriteOperation(uint16_t family, const uint8_t* operation, netlink::RequestBatch* batch,
                    std::vector<Place>* places) {
  const auto command = Load<uint32_t>(operation + offsetof(OperationHeader, command));
  if (!ChangesSomething(command)) return false;
  const uint8_t* service = operation + OperationServiceOffset();
  const uint8_t* destination = operation + OperationDestinationOffset();
  MessageWriter& writer =
      netlink::BeginGeneric(batch, family, static_cast<uint8_t>(command), kFamilyVersion, 0);
  if (command == kSetConfig) {
    netlink::Encode(kConfigTable, service, kAllRows, 0, &writer);
  } else if (command == kNewDaemon || command == kDelDaemon) {
    WriteDaemon(service, &writer);
  } else {
    if (!IsEmpty(service)) WriteService(service, kAllRows, &writer, places);
    if (!IsEmpty(destination)) WriteDestination(destination, service, &writer, places);
  }
  writer.End();
  return true;
}

// What the layout of a message depends on: the family's number, the command, which fields there
// are, and the families of the addresses.
OperationWriter::Model OperationWriter::ModelOf(uint16_t family, const uint8_t* operation) {
  const auto word = [operation](size_t at) { return Load<uint32_t>(operation + at); };
  return {family,
          word(offsetof(OperationHeader, command)),
          word(OperationServiceOffset()),
          word(ServiceFamilyOffset()),
          word(OperationDestinationOffset()),
          word(DestinationFamilyOffset())};
}

bool OperationWriter::IsLikeModel(uint16_t family, const uint8_t* operation) const {
  const auto is_same = [&](size_t index, size_t at) {
    return Load<uint32_t>(operation + at) == model_[index];
  };
  return family == model_[0] && is_same(1, offsetof(OperationHeader, command)) &&
         is_same(2, OperationServiceOffset()) && is_same(3, ServiceFamilyOffset()) &&
         is_same(4, OperationDestinationOffset()) && is_same(5, DestinationFamilyOffset());
}

bool OperationWriter::Write(uint16_t family, const uint8_t* operation,
                            netlink::RequestBatch* batch) {
  if (IsLikeModel(family, operation)) {
    values_.Overwrite(operation, batch->Repeat({message_.data(), message_.size()}));
    return true;
  }
  std::vector<Place> places;
  model_ = {};
  if (!WriteOperation(family, operation, batch, &places)) return false;
  // Those are the model's.
  const auto is_family = [&](const Place& place) {
    const auto at = static_cast<size_t>(place.field - operation);
    return at == ServiceFamilyOffset() || at == DestinationFamilyOffset();
  };
  places.erase(std::remove_if(places.begin(), places.end(), is_family), places.end());
  if (!batch->sendable() || !values_.Learn(places, operation) || places.empty()) return true;
  const netlink::Bytes message = batch->writer().message();
  message_.assign(message.data, message.data + message.size);
  model_ = ModelOf(family, operation);
  return true;
}

void WriteQuery(uint16_t family, Command command, uint16_t flags, const uint8_t* service,
                netlink::RequestBatch* batch) {
  MessageWriter& writer = netlink::BeginGeneric(batch, family, command, kFamilyVersion, flags);
  if (service != nullptr) WriteService(service, kIdentityRows, &writer, nullptr);
  writer.End();
}

bool ReadRecord(netlink::Decoder* decoder, uint16_t top, const netlink::Message& message,
                Records* records) {
  uint8_t command = 0;
  netlink::Bytes body;
  if (!netlink::ReadGeneric(message, &command, &body)) return false;
  if (top != 0) {
    netlink::AttributeReader attributes(body);
    netlink::AttributeView attribute;
    body = {};
    while (attributes.Next(&attribute)) {
      if (attribute.type == top) body = attribute.payload;
    }
    if (attributes.malformed() || body.data == nullptr) return false;
  }
  const size_t start = records->size();
  records->resize(start + decoder->table().record_size, 0);
  if (decoder->Decode(body, records->data() + start)) return true;
  records->resize(start);
  return false;
}

}  // namespace ipvs
