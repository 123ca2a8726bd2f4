// The kernel's numbers, after include/uapi/linux/ip_vs.h (identical in 6.1, 6.12 and 7.3). Ours, so
// that building needs no recent kernel headers; a test holds them against the installed ones.
#pragma once

#include <cstdint>

namespace ipvs {

constexpr char kFamilyName[] = "IPVS";
constexpr uint8_t kFamilyVersion = 1;

// IPVS_CMD_*
enum Command : uint8_t {
  kNewService = 1,
  kSetService = 2,
  kDelService = 3,
  kGetService = 4,
  kNewDest = 5,
  kSetDest = 6,
  kDelDest = 7,
  kGetDest = 8,
  kNewDaemon = 9,
  kDelDaemon = 10,
  kGetDaemon = 11,
  kSetConfig = 12,
  kGetConfig = 13,
  kGetInfo = 15,
  kZero = 16,
  kFlush = 17,
};

// IPVS_CMD_ATTR_*
enum TopAttribute : uint16_t {
  kAttrService = 1,
  kAttrDest = 2,
  kAttrDaemon = 3,
};

}  // namespace ipvs
