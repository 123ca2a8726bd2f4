// The table's columns as the typed arrays of types/columns.d.ts.
#pragma once

#include <napi.h>

#include "ipvs/columns.h"

// { services, destinations }; takes the columns' memory.
Napi::Object GiveColumns(Napi::Env env, ipvs::TableColumns* columns);
