// The handle of one virtual server table that JavaScript holds.
#pragma once

#include <napi.h>

#include <memory>

#include "convert.h"
#include "host/text_file.h"
#include "ipvs/client.h"

class Connection : public Napi::ObjectWrap<Connection> {
 public:
  static Napi::Function Define(Napi::Env env);

  // (namespace: string | number | undefined, silence: number)
  explicit Connection(const Napi::CallbackInfo& info);

 private:
  // All answer promises; types/addon.d.ts has their shapes. Calls run on the main thread, what they
  // start on a worker, which shares the client: closing or collecting the handle ends nothing that
  // is under way.
  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value Apply(const Napi::CallbackInfo& info);
  Napi::Value ReadService(const Napi::CallbackInfo& info);
  Napi::Value ReadServices(const Napi::CallbackInfo& info);
  Napi::Value ReadDestinations(const Napi::CallbackInfo& info);
  Napi::Value ReadAll(const Napi::CallbackInfo& info);
  Napi::Value ReadPart(const Napi::CallbackInfo& info);
  Napi::Value ReadColumns(const Napi::CallbackInfo& info);
  Napi::Value ReadConfig(const Napi::CallbackInfo& info);
  Napi::Value ReadDaemons(const Napi::CallbackInfo& info);
  Napi::Value ReadInfo(const Napi::CallbackInfo& info);
  Napi::Value ReadTotals(const Napi::CallbackInfo& info);
  // The connection table is read through a cursor, an External that these three pass around.
  Napi::Value OpenTable(const Napi::CallbackInfo& info);
  Napi::Value ReadTable(const Napi::CallbackInfo& info);
  void CloseTable(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  using RecordReader = std::function<netlink::Outcome(ipvs::Client*, ipvs::Records*)>;
  Napi::Value Read(Napi::Env env, RecordReader read);
  using SnapshotReader = std::function<netlink::Outcome(ipvs::Client*, ipvs::Snapshot*)>;
  Napi::Value ReadSnapshot(Napi::Env env, SnapshotReader read);
  std::shared_ptr<ipvs::Client> client(Napi::Env env) const;

  std::unique_ptr<NamespaceChoice> choice_;  // null once Open() was called
  const int silence_;
  std::shared_ptr<ipvs::Client> client_;  // null before Open() has succeeded and after Close()
};
