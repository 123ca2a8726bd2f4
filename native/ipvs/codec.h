// Records into IPVS messages, and IPVS messages into records.
#pragma once

#include <cstdint>
#include <vector>

#include "ipvs/attributes.h"
#include "ipvs/protocol.h"
#include "netlink/family.h"

namespace ipvs {

// Records of one table, one after the other.
using Records = std::vector<uint8_t>;

// One change to the table, as JavaScript writes it: this header, then the configuration parts of a
// service and of a destination record. Commands that take neither leave them empty.
struct OperationHeader {
  uint32_t command;
  uint32_t unused;
};

inline size_t OperationSize() {
  return sizeof(OperationHeader) + kServiceTable.config_size + kDestinationTable.config_size;
}
inline size_t OperationServiceOffset() { return sizeof(OperationHeader); }
inline size_t OperationDestinationOffset() {
  return OperationServiceOffset() + kServiceTable.config_size;
}

// Appends the request of one operation. False when the command is not one that changes the table.
bool WriteOperation(uint16_t family, const uint8_t* operation, netlink::RequestBatch* batch);

// Appends a request that reads; `service` may be null. `flags` is NLM_F_DUMP or 0.
void WriteQuery(uint16_t family, Command command, uint16_t flags, const uint8_t* service,
                netlink::RequestBatch* batch);

// Appends one record made of the nest `top` of an IPVS message (of its top level when `top` is 0).
// False when the message is malformed or has no such nest.
bool ReadRecord(const netlink::Table& table, uint16_t top, const netlink::Message& message,
                Records* records);

}  // namespace ipvs
