// What the addon exports; types/addon.d.ts describes the same for TypeScript. Nothing is kept
// between environments, so that every worker_thread has its own.

#include <napi.h>

#include "connection.h"
#include "host_connection.h"
#include "layout.h"
#include "testing.h"

namespace {

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  exports.Set("layout", DescribeLayout(env));
  exports.Set("Connection", Connection::Define(env));
  exports.Set("HostConnection", HostConnection::Define(env));
  exports.Set("testing", DefineTesting(env));
  return exports;
}

}  // namespace

NODE_API_MODULE(ipvs_netlink, Initialize)
