// The handle of one namespace's addresses and settings that JavaScript holds.
#pragma once

#include <napi.h>

#include <memory>

#include "convert.h"

class HostConnection : public Napi::ObjectWrap<HostConnection> {
 public:
  static Napi::Function Define(Napi::Env env);

  // (namespace: string | number | undefined, silence: number)
  explicit HostConnection(const Napi::CallbackInfo& info);

 private:
  // All answer promises; types/addon.d.ts has their shapes.
  Napi::Value Open(const Napi::CallbackInfo& info);
  Napi::Value ReadAddresses(const Napi::CallbackInfo& info);
  Napi::Value ChangeAddresses(const Napi::CallbackInfo& info);
  Napi::Value Announce(const Napi::CallbackInfo& info);
  Napi::Value ReadLinks(const Napi::CallbackInfo& info);
  Napi::Value ChangeLink(const Napi::CallbackInfo& info);
  Napi::Value ReadFouPort(const Napi::CallbackInfo& info);
  Napi::Value ChangeGuePort(const Napi::CallbackInfo& info);
  Napi::Value LoadFamily(const Napi::CallbackInfo& info);
  Napi::Value ReadSetting(const Napi::CallbackInfo& info);
  Napi::Value ReadSettings(const Napi::CallbackInfo& info);
  Napi::Value WriteSetting(const Napi::CallbackInfo& info);
  Napi::Value ReadText(const Napi::CallbackInfo& info);
  void Close(const Napi::CallbackInfo& info);

  std::shared_ptr<netlink::NetworkNamespace> where(Napi::Env env) const;

  std::unique_ptr<NamespaceChoice> choice_;  // null once Open() was called
  const int silence_;
  bool open_ = false;
  std::shared_ptr<netlink::NetworkNamespace> where_;  // null: the process's own
};
