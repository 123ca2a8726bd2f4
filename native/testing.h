// The one door for tests to what is otherwise inside: records to request bytes, and reply bytes to
// records, without a kernel. Nothing in lib/ uses it.
#pragma once

#include <napi.h>

Napi::Object DefineTesting(Napi::Env env);
