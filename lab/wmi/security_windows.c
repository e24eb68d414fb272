// SPDX-License-Identifier: Apache-2.0
//
// IClientSecurity, without which CoSetProxyBlanket fails on an object in process: it takes every
// setting, and there is nothing to be secured.
#include "provider.h"

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

static HRESULT WINAPI set_blanket(IClientSecurity *face, IUnknown *proxy, DWORD authentication,
                                  DWORD authorization, OLECHAR *principal, DWORD level,
                                  DWORD impersonation, void *identity, DWORD capabilities)
{
    (void)face;
    (void)proxy;
    (void)authentication;
    (void)authorization;
    (void)principal;
    (void)level;
    (void)impersonation;
    (void)identity;
    (void)capabilities;
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

void kvpbus_provider_security(struct kvpbus_provider_security *security, IUnknown *outer)
{
    security->face.lpVtbl = &table;
    security->outer = outer;
}
