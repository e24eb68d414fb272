// SPDX-License-Identifier: Apache-2.0
//
// IClientSecurity, without which CoSetProxyBlanket fails on an object in process. Nothing is
// secured here; what it looks at is on whose behalf an object of another computer is used.
#include <stdio.h>
#include <wchar.h>

#include "provider.h"

HRESULT kvpbus_provider_marshal(void **out)
{
    IUnknown *marshaler;
    HRESULT result = CoCreateFreeThreadedMarshaler(NULL, &marshaler);
    if (FAILED(result))
        return result;
    result = IUnknown_QueryInterface(marshaler, &IID_IMarshal, out);
    IUnknown_Release(marshaler);
    return result;
}

static struct kvpbus_provider_security *self(IClientSecurity *face)
{
    return CONTAINING_RECORD(face, struct kvpbus_provider_security, face);
}

static HRESULT WINAPI query_interface(IClientSecurity *face, REFIID iid, void **out)
{
    return IUnknown_QueryInterface(self(face)->outer, iid, out);
}

static ULONG WINAPI add_ref(IClientSecurity *face)
{
    return IUnknown_AddRef(self(face)->outer);
}

static ULONG WINAPI release(IClientSecurity *face)
{
    return IUnknown_Release(self(face)->outer);
}

static HRESULT WINAPI query_blanket(IClientSecurity *face, IUnknown *proxy, DWORD *authentication,
                                    DWORD *authorization, OLECHAR **principal, DWORD *level,
                                    DWORD *impersonation, void **identity, DWORD *capabilities)
{
    (void)face;
    (void)proxy;
    if (authentication != NULL)
        *authentication = RPC_C_AUTHN_WINNT;
    if (authorization != NULL)
        *authorization = RPC_C_AUTHZ_NONE;
    if (principal != NULL)
        *principal = NULL;
    if (level != NULL)
        *level = RPC_C_AUTHN_LEVEL_PKT_PRIVACY;
    if (impersonation != NULL)
        *impersonation = RPC_C_IMP_LEVEL_IMPERSONATE;
    if (identity != NULL)
        *identity = NULL;
    if (capabilities != NULL)
        *capabilities = EOAC_NONE;
    return S_OK;
}

void kvpbus_provider_account(const WCHAR *domain, const WCHAR *user, const WCHAR *password,
                             WCHAR *account)
{
    bool has_domain = domain != NULL && *domain != L'\0';
    account[0] = L'\0';
    _snwprintf(account, KVPBUS_PROVIDER_ACCOUNT_MAX - 1, L"%ls%ls%ls:%ls",
               has_domain ? domain : L"", has_domain ? L"\\" : L"", user != NULL ? user : L"",
               password != NULL ? password : L"");
    account[KVPBUS_PROVIDER_ACCOUNT_MAX - 1] = L'\0';
}

HRESULT kvpbus_provider_allowed(const struct kvpbus_provider_security *security)
{
    return security->account[0] == L'\0' || security->identified ? S_OK : E_ACCESSDENIED;
}

static bool is_account(const struct kvpbus_provider_security *security, const void *given)
{
    const COAUTHIDENTITY *identity = given;
    WCHAR account[KVPBUS_PROVIDER_ACCOUNT_MAX];
    if (given == NULL || given == COLE_DEFAULT_AUTHINFO ||
        identity->Flags != SEC_WINNT_AUTH_IDENTITY_UNICODE)
        return false;
    kvpbus_provider_account((const WCHAR *)identity->Domain, (const WCHAR *)identity->User,
                            (const WCHAR *)identity->Password, account);
    return wcscmp(account, security->account) == 0;
}

static HRESULT WINAPI set_blanket(IClientSecurity *face, IUnknown *proxy, DWORD authentication,
                                  DWORD authorization, OLECHAR *principal, DWORD level,
                                  DWORD impersonation, void *identity, DWORD capabilities)
{
    struct kvpbus_provider_security *security = self(face);
    (void)proxy;
    (void)authentication;
    (void)authorization;
    (void)principal;
    (void)level;
    (void)impersonation;
    (void)capabilities;
    InterlockedExchange(&security->identified, is_account(security, identity) ? 1 : 0);
    return S_OK;
}

static HRESULT WINAPI copy_proxy(IClientSecurity *face, IUnknown *proxy, IUnknown **copy)
{
    (void)face;
    if (copy == NULL)
        return E_POINTER;
    IUnknown_AddRef(proxy);
    *copy = proxy;
    return S_OK;
}

static IClientSecurityVtbl table = {query_interface, add_ref,     release,
                                    query_blanket,   set_blanket, copy_proxy};

void kvpbus_provider_security(struct kvpbus_provider_security *security, IUnknown *outer,
                              const WCHAR *account)
{
    security->face.lpVtbl = &table;
    security->outer = outer;
    wcsncpy(security->account, account, KVPBUS_PROVIDER_ACCOUNT_MAX - 1);
}
