// SPDX-License-Identifier: Apache-2.0
//
// What an installation gives a service, beside its files; one source per system.
#ifndef KVPBUS_SERVICE_PLACE_H
#define KVPBUS_SERVICE_PLACE_H

// Of a service that is started by hand; what fails is told when the socket is opened.
void kvpbus_service_make_socket_folder(const char *socket);

// A file with an enrolment token that the service manager hands over; NULL: none.
const char *kvpbus_service_credential(void);

#endif
