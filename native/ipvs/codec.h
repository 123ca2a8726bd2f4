// Records into IPVS messages, and IPVS messages into records.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "ipvs/attributes.h"
#include "ipvs/protocol.h"
#include "netlink/family.h"

namespace ipvs {

// Records of one table, one after the other.
using Records = std::vector<uint8_t>;

enum OperationKind : uint32_t {
  kPlain = 0,
  kPatch = 1,         // the records have the identity and what changes; see patch.h
  kEditIfExists = 2,  // what is to be added is edited where it is there already
};

// One change, as JavaScript writes it: this header, then the configuration parts of a service and
// of a destination record. Commands that take neither leave them empty; those on daemons and
// timeouts have their record in the place of the service's.
struct OperationHeader {
  uint32_t command;
  uint32_t kind;             // an OperationKind
  uint32_t default_timeout;  // of a patch that makes a service persistent
  uint32_t keeps_scheduler;  // of a patch, 1: refused unless the scheduler is the named one already
};

inline size_t OperationSize() {
  return sizeof(OperationHeader) + kServiceTable.config_size + kDestinationTable.config_size;
}
inline size_t OperationServiceOffset() { return sizeof(OperationHeader); }
inline size_t OperationDestinationOffset() {
  return OperationServiceOffset() + kServiceTable.config_size;
}

// Appends the request of one operation. False when the command is not one that changes the table.
bool WriteOperation(uint16_t family, const uint8_t* operation, netlink::RequestBatch* batch,
                    std::vector<netlink::Place>* places = nullptr);

// The same for many, of which most are like the one before but for their values: its message is
// then copied, and the values written over.
class OperationWriter {
 public:
  bool Write(uint16_t family, const uint8_t* operation, netlink::RequestBatch* batch);

 private:
  using Model = std::array<uint32_t, 6>;
  static Model ModelOf(uint16_t family, const uint8_t* operation);
  bool IsLikeModel(uint16_t family, const uint8_t* operation) const;

  Model model_{};  // of the message; that of none before there is one
  std::vector<uint8_t> message_;
  netlink::Values values_;
};

// Appends a request that reads; `service` may be null. `flags` is NLM_F_DUMP or 0.
void WriteQuery(uint16_t family, Command command, uint16_t flags, const uint8_t* service,
                netlink::RequestBatch* batch);

// Appends one record made of the nest `top` of an IPVS message (of its top level when `top` is 0).
// False when the message is malformed or has no such nest.
bool ReadRecord(netlink::Decoder* decoder, uint16_t top, const netlink::Message& message,
                Records* records);
inline bool ReadRecord(const netlink::Table& table, uint16_t top, const netlink::Message& message,
                       Records* records) {
  netlink::Decoder decoder(table);
  return ReadRecord(&decoder, top, message, records);
}

}  // namespace ipvs
