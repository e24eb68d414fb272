// SPDX-License-Identifier: Apache-2.0
//
// The HRESULTs that WMI, COM and RPC answer with, as far as kvpbus meets them: one table gives the
// names, what they mean here, and what is to be done. Pure. Any thread.
#ifndef KVPBUS_HRESULT_H
#define KVPBUS_HRESULT_H

#include <stdint.h>

#include "kvpbus/error.h"

// What a failed call says about the connection.
enum kvpbus_hresult_kind {
    KVPBUS_HRESULT_PLAIN,  // nothing: this call was refused
    KVPBUS_HRESULT_UNSURE, // nothing; it may have been carried out in part
    KVPBUS_HRESULT_LOST,   // it is gone, and the call may have been carried out
    KVPBUS_HRESULT_UNSENT, // it is gone, and the call was not carried out
};

// What is to be done, by the end of the sentence.
#define KVPBUS_HINT_ELEVATE                                                     \
    "use an account of Administrators or of Hyper-V Administrators, elevated: " \
    "'Run as administrator'"
#define KVPBUS_HINT_DENIED                                                            \
    "use an elevated account of Hyper-V Administrators; for another host check also " \
    "the user name and the password"
#define KVPBUS_HINT_ROLE                                                                   \
    "install the Hyper-V role and its management service; before Windows Server 2012 use " \
    "'--namespace v1'"
#define KVPBUS_HINT_LOGON "check the user name and the password"
#define KVPBUS_HINT_HOST "check the host's name, and that its firewall lets WMI through"
#define KVPBUS_HINT_VMMS "is the service 'vmms' running?"
#define KVPBUS_HINT_WINMGMT "is the service 'winmgmt' running?"
#define KVPBUS_HINT_AGAIN "it is tried again"
#define KVPBUS_HINT_REPORT "please report it"

// X(name, number, kind, error of kvpbus, what it means, what to do). A Win32 error has its own name
// and the number as an HRESULT.
#define KVPBUS_HRESULT_MAP(X)                                                                      \
    X(WBEM_E_FAILED, 0x80041001, UNSURE, STORE_GONE, "the call failed", KVPBUS_HINT_AGAIN)         \
    X(WBEM_E_NOT_FOUND, 0x80041002, PLAIN, NOT_FOUND, "there is no such object",                   \
      KVPBUS_HINT_AGAIN)                                                                           \
    X(WBEM_E_ACCESS_DENIED, 0x80041003, PLAIN, ACCESS, "access denied by WMI",                     \
      KVPBUS_HINT_ELEVATE)                                                                         \
    X(WBEM_E_PROVIDER_FAILURE, 0x80041004, UNSURE, STORE_GONE, "Hyper-V's provider failed",        \
      KVPBUS_HINT_VMMS)                                                                            \
    X(WBEM_E_TYPE_MISMATCH, 0x80041005, PLAIN, INTERNAL, "a property has another type",            \
      KVPBUS_HINT_REPORT)                                                                          \
    X(WBEM_E_OUT_OF_MEMORY, 0x80041006, PLAIN, NOMEM, "WMI is out of memory", KVPBUS_HINT_AGAIN)   \
    X(WBEM_E_INVALID_PARAMETER, 0x80041008, PLAIN, INTERNAL, "WMI refuses a parameter",            \
      KVPBUS_HINT_REPORT)                                                                          \
    X(WBEM_E_NOT_SUPPORTED, 0x8004100C, PLAIN, UNSUPPORTED, "not supported there",                 \
      KVPBUS_HINT_ROLE)                                                                            \
    X(WBEM_E_INVALID_NAMESPACE, 0x8004100E, PLAIN, UNSUPPORTED,                                    \
      "there is no Hyper-V: the namespace is missing", KVPBUS_HINT_ROLE)                           \
    X(WBEM_E_INVALID_CLASS, 0x80041010, PLAIN, UNSUPPORTED, "the namespace lacks the class",       \
      KVPBUS_HINT_ROLE)                                                                            \
    X(WBEM_E_PROVIDER_NOT_FOUND, 0x80041011, PLAIN, STORE_GONE,                                    \
      "Hyper-V's provider is not registered", KVPBUS_HINT_ROLE)                                    \
    X(WBEM_E_PROVIDER_LOAD_FAILURE, 0x80041013, PLAIN, STORE_GONE,                                 \
      "Hyper-V's provider cannot be loaded", KVPBUS_HINT_VMMS)                                     \
    X(WBEM_E_INITIALIZATION_FAILURE, 0x80041014, LOST, STORE_GONE,                                 \
      "something needed by WMI did not start", KVPBUS_HINT_VMMS)                                   \
    X(WBEM_E_TRANSPORT_FAILURE, 0x80041015, LOST, STORE_GONE, "the connection to WMI broke",       \
      KVPBUS_HINT_HOST)                                                                            \
    X(WBEM_E_INVALID_OPERATION, 0x80041016, PLAIN, INTERNAL, "WMI refuses the operation",          \
      KVPBUS_HINT_REPORT)                                                                          \
    X(WBEM_E_INVALID_QUERY, 0x80041017, PLAIN, INTERNAL, "WMI refuses the query",                  \
      KVPBUS_HINT_REPORT)                                                                          \
    X(WBEM_E_PROVIDER_NOT_CAPABLE, 0x80041024, PLAIN, UNSUPPORTED, "the provider cannot do this",  \
      KVPBUS_HINT_ROLE)                                                                            \
    X(WBEM_E_INVALID_METHOD, 0x8004102E, PLAIN, UNSUPPORTED, "the class lacks the method",         \
      KVPBUS_HINT_ROLE)                                                                            \
    X(WBEM_E_INVALID_METHOD_PARAMETERS, 0x8004102F, PLAIN, STORE_REJECTED,                         \
      "the parameters of the method are refused", KVPBUS_HINT_REPORT)                              \
    X(WBEM_E_CALL_CANCELLED, 0x80041032, LOST, STORE_GONE, "the call was cancelled",               \
      KVPBUS_HINT_AGAIN)                                                                           \
    X(WBEM_E_SHUTTING_DOWN, 0x80041033, LOST, STORE_GONE, "WMI is shutting down",                  \
      KVPBUS_HINT_WINMGMT)                                                                         \
    X(WBEM_E_INVALID_OBJECT_PATH, 0x8004103A, PLAIN, INTERNAL, "WMI refuses an object path",       \
      KVPBUS_HINT_REPORT)                                                                          \
    X(WBEM_E_SERVER_TOO_BUSY, 0x80041045, PLAIN, STORE_BUSY, "WMI is too busy", KVPBUS_HINT_AGAIN) \
    X(WBEM_E_METHOD_NOT_IMPLEMENTED, 0x80041055, PLAIN, UNSUPPORTED,                               \
      "the method is not implemented", KVPBUS_HINT_ROLE)                                           \
    X(WBEM_E_PRIVILEGE_NOT_HELD, 0x80041062, PLAIN, ACCESS, "a privilege is missing",              \
      KVPBUS_HINT_ELEVATE)                                                                         \
    X(WBEM_E_LOCAL_CREDENTIALS, 0x80041064, PLAIN, INVALID_ARGUMENT,                               \
      "credentials are for another host", "leave them out for this machine")                       \
    X(WBEM_E_QUOTA_VIOLATION, 0x8004106C, PLAIN, STORE_BUSY, "a quota of WMI is used up",          \
      "raise MemoryPerHost and HandlesPerHost of __ProviderHostQuotaConfiguration")                \
    X(WBEM_E_TIMED_OUT, 0x80041069, UNSURE, TIMEOUT, "no answer within the deadline",              \
      KVPBUS_HINT_VMMS)                                                                            \
    X(E_NOINTERFACE, 0x80004002, PLAIN, UNSUPPORTED, "an interface is missing",                    \
      KVPBUS_HINT_REPORT)                                                                          \
    X(E_FAIL, 0x80004005, UNSURE, STORE_GONE, "the call failed", KVPBUS_HINT_AGAIN)                \
    X(E_ACCESSDENIED, 0x80070005, PLAIN, ACCESS, "access denied", KVPBUS_HINT_DENIED)              \
    X(E_OUTOFMEMORY, 0x8007000E, PLAIN, NOMEM, "out of memory", KVPBUS_HINT_AGAIN)                 \
    X(E_INVALIDARG, 0x80070057, PLAIN, INTERNAL, "an argument is refused", KVPBUS_HINT_REPORT)     \
    X(REGDB_E_CLASSNOTREG, 0x80040154, PLAIN, UNSUPPORTED, "a COM class is not registered",        \
      "repair WMI")                                                                                \
    X(CO_E_OBJNOTCONNECTED, 0x800401FD, UNSENT, STORE_GONE, "the object is not connected",         \
      KVPBUS_HINT_AGAIN)                                                                           \
    X(CO_E_SERVER_STOPPING, 0x80080008, UNSENT, STORE_GONE, "the COM server is stopping",          \
      KVPBUS_HINT_WINMGMT)                                                                         \
    X(CO_E_SERVER_EXEC_FAILURE, 0x80080005, UNSENT, STORE_GONE, "the COM server does not start",   \
      KVPBUS_HINT_WINMGMT)                                                                         \
    X(RPC_E_CALL_CANCELED, 0x80010002, LOST, STORE_GONE, "the call was cancelled",                 \
      KVPBUS_HINT_AGAIN)                                                                           \
    X(RPC_E_CONNECTION_TERMINATED, 0x80010006, LOST, STORE_GONE, "the connection was cut",         \
      KVPBUS_HINT_AGAIN)                                                                           \
    X(RPC_E_SERVER_DIED, 0x80010007, LOST, STORE_GONE, "the service died during the call",         \
      KVPBUS_HINT_VMMS)                                                                            \
    X(RPC_E_SERVER_DIED_DNE, 0x80010012, UNSENT, STORE_GONE, "the service died before the call",   \
      KVPBUS_HINT_VMMS)                                                                            \
    X(RPC_E_DISCONNECTED, 0x80010108, UNSENT, STORE_GONE, "the service was restarted",             \
      KVPBUS_HINT_AGAIN)                                                                           \
    X(RPC_E_ACCESS_DENIED, 0x8001011B, PLAIN, ACCESS, "access denied by COM", KVPBUS_HINT_ELEVATE) \
    X(ERROR_LOGON_FAILURE, 0x8007052E, PLAIN, ACCESS, "the logon failed", KVPBUS_HINT_LOGON)       \
    X(ERROR_ACCOUNT_RESTRICTION, 0x8007052F, PLAIN, ACCESS, "the account may not log on",          \
      KVPBUS_HINT_LOGON)                                                                           \
    X(ERROR_SHUTDOWN_IN_PROGRESS, 0x8007045B, LOST, STORE_GONE, "Windows is shutting down",        \
      KVPBUS_HINT_AGAIN)                                                                           \
    X(RPC_S_UNKNOWN_IF, 0x800706B5, UNSENT, STORE_GONE, "the service is not ready",                \
      KVPBUS_HINT_AGAIN)                                                                           \
    X(RPC_S_SERVER_UNAVAILABLE, 0x800706BA, UNSENT, STORE_GONE, "the RPC server is unavailable",   \
      KVPBUS_HINT_HOST)                                                                            \
    X(RPC_S_SERVER_TOO_BUSY, 0x800706BB, PLAIN, STORE_BUSY, "the RPC server is too busy",          \
      KVPBUS_HINT_AGAIN)                                                                           \
    X(RPC_S_CALL_FAILED, 0x800706BE, LOST, STORE_GONE, "the remote call failed",                   \
      KVPBUS_HINT_AGAIN)                                                                           \
    X(RPC_S_CALL_FAILED_DNE, 0x800706BF, UNSENT, STORE_GONE,                                       \
      "the remote call failed and was not made", KVPBUS_HINT_AGAIN)                                \
    X(ERROR_DEVICE_NOT_AVAILABLE, 0x800710DF, PLAIN, STORE_GONE,                                   \
      "the guest's device is not ready", "is Data Exchange running in the VM?")                    \
    X(ERROR_NO_SYSTEM_RESOURCES, 0x800705AA, PLAIN, STORE_TOO_MANY, "insufficient resources",      \
      "remove items of the VM")

struct kvpbus_hresult {
    const char *name, *meaning, *hint;
    uint32_t number;
    enum kvpbus_hresult_kind kind;
    enum kvpbus_error error;
};

// The entry of a number; for one that is not listed an entry that says so, never NULL.
const struct kvpbus_hresult *kvpbus_hresult_find(uint32_t number);

// Fills *failure with "<what>: <meaning> (0x80041003 WBEM_E_ACCESS_DENIED); <hint>" and returns the
// entry's error.
enum kvpbus_error kvpbus_hresult_fail(struct kvpbus_failure *failure, uint32_t number,
                                      const char *format, ...) KVPBUS_PRINTF(3, 4);

// The HRESULT that a text for people carries, as "… (0x800710DF)."; 0 when there is none.
uint32_t kvpbus_hresult_in_text(const char *text);

#endif
