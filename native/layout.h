// The places of all fields in the flat records, for JavaScript, made from the tables themselves.
#pragma once

#include <napi.h>

Napi::Object DescribeLayout(Napi::Env env);
