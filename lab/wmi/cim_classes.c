// SPDX-License-Identifier: Apache-2.0
//
// The classes that are served, with the properties and initial values that Microsoft's
// documentation of root\virtualization\v2 gives them, inherited ones included.
#include "cim.h"

#define OWN(name_, type_, initial_)                                       \
    {                                                                     \
        .name = #name_, .type = KVPBUS_CIM_##type_, .initial = (initial_) \
    }
#define OWN_ARRAY(name_, type_, initial_)                                                \
    {                                                                                    \
        .name = #name_, .type = KVPBUS_CIM_##type_, .array = true, .initial = (initial_) \
    }
#define BASE(name_, type_, initial_)                                                          \
    {                                                                                         \
        .name = #name_, .type = KVPBUS_CIM_##type_, .propagated = true, .initial = (initial_) \
    }
#define BASE_ARRAY(name_, type_, initial_)                                             \
    {                                                                                  \
        .name = #name_, .type = KVPBUS_CIM_##type_, .array = true, .propagated = true, \
        .initial = (initial_)                                                          \
    }
#define KEY(name_, type_, initial_)                                                  \
    {                                                                                \
        .name = #name_, .type = KVPBUS_CIM_##type_, .key = true, .propagated = true, \
        .initial = (initial_)                                                        \
    }
#define ITEMS(name_)                                                               \
    {                                                                              \
        .name = #name_, .type = KVPBUS_CIM_STRING, .array = true, .embedded = true \
    }

#define COUNT(array) (sizeof(array) / sizeof *(array))

#define STATUS(operational, descriptions, health)                                         \
    BASE_ARRAY(OperationalStatus, UINT16, operational),                                   \
        BASE_ARRAY(StatusDescriptions, STRING, descriptions), BASE(Status, STRING, NULL), \
        BASE(HealthState, UINT16, health), BASE(CommunicationStatus, UINT16, NULL),       \
        BASE(DetailedStatus, UINT16, NULL), BASE(OperatingStatus, UINT16, NULL),          \
        BASE(PrimaryStatus, UINT16, NULL)

#define ENABLED(state, requested, initially)                                              \
    BASE(EnabledState, UINT16, state), BASE(OtherEnabledState, STRING, NULL),             \
        BASE(RequestedState, UINT16, requested), BASE(EnabledDefault, UINT16, initially), \
        BASE(TimeOfLastStateChange, DATETIME, NULL),                                      \
        BASE_ARRAY(AvailableRequestedStates, UINT16, NULL),                               \
        BASE(TransitioningToState, UINT16, NULL)

static const struct kvpbus_cim_property computer_system[] = {
    BASE(InstanceID, STRING, NULL),
    BASE(Caption, STRING, NULL),
    BASE(Description, STRING, NULL),
    BASE(ElementName, STRING, NULL),
    BASE(InstallDate, DATETIME, NULL),
    STATUS(NULL, NULL, "5"),
    ENABLED("2", NULL, "2"),
    KEY(CreationClassName, STRING, "Msvm_ComputerSystem"),
    KEY(Name, STRING, NULL),
    BASE(PrimaryOwnerName, STRING, NULL),
    BASE(PrimaryOwnerContact, STRING, NULL),
    BASE_ARRAY(Roles, STRING, NULL),
    BASE(NameFormat, STRING, NULL),
    BASE_ARRAY(OtherIdentifyingInfo, STRING, NULL),
    BASE_ARRAY(IdentifyingDescriptions, STRING, NULL),
    BASE_ARRAY(Dedicated, UINT16, NULL),
    BASE_ARRAY(OtherDedicatedDescriptions, STRING, NULL),
    BASE(ResetCapability, UINT16, "1"),
    BASE_ARRAY(PowerManagementCapabilities, UINT16, NULL),
    OWN(OnTimeInMilliseconds, UINT64, NULL),
    OWN(ProcessID, UINT32, NULL),
    OWN(TimeOfLastConfigurationChange, DATETIME, NULL),
    OWN(NumberOfNumaNodes, UINT16, NULL),
    OWN(ReplicationState, UINT16, NULL),
    OWN(ReplicationHealth, UINT16, NULL),
    OWN(ReplicationMode, UINT16, NULL),
    OWN(FailedOverReplicationType, UINT16, NULL),
    OWN(LastReplicationType, UINT16, NULL),
    OWN(LastApplicationConsistentReplicationTime, DATETIME, NULL),
    OWN(LastReplicationTime, DATETIME, NULL),
    OWN(LastSuccessfulBackupTime, DATETIME, NULL),
    OWN(EnhancedSessionModeState, UINT16, NULL),
};

static const struct kvpbus_cim_property management_service[] = {
    BASE(InstanceID, STRING, NULL),
    BASE(Caption, STRING, "Virtual System Management Service"),
    BASE(Description, STRING, "Service for creating, manipulating, and managing virtual machines"),
    BASE(ElementName, STRING, "Hyper-V Virtual System Management Service"),
    BASE(InstallDate, DATETIME, NULL),
    KEY(Name, STRING, "vmms"),
    STATUS("2", "The service is running normally", "5"),
    ENABLED("2", "12", "2"),
    KEY(SystemCreationClassName, STRING, "Msvm_ComputerSystem"),
    KEY(SystemName, STRING, NULL),
    KEY(CreationClassName, STRING, "Msvm_VirtualSystemManagementService"),
    BASE(PrimaryOwnerName, STRING, NULL),
    BASE(PrimaryOwnerContact, STRING, NULL),
    BASE(StartMode, STRING, NULL),
    BASE(Started, BOOLEAN, "TRUE"),
};

static const struct kvpbus_cim_property component[] = {
    BASE(InstanceID, STRING, NULL),
    BASE(Caption, STRING, "Key-Value Pair Exchange"),
    BASE(Description, STRING, "Microsoft Key-Value Pair Exchange Service"),
    BASE(ElementName, STRING, "Key-Value Pair Exchange"),
    BASE(InstallDate, DATETIME, NULL),
    BASE(Name, STRING, "Key-Value Pair Exchange"),
    STATUS(NULL, NULL, "5"),
    ENABLED(NULL, "12", "7"),
    KEY(SystemCreationClassName, STRING, "Msvm_ComputerSystem"),
    KEY(SystemName, STRING, NULL),
    KEY(CreationClassName, STRING, "Msvm_KvpExchangeComponent"),
    KEY(DeviceID, STRING, NULL),
    BASE(PowerManagementSupported, BOOLEAN, NULL),
    BASE_ARRAY(PowerManagementCapabilities, UINT16, NULL),
    BASE(Availability, UINT16, "6"),
    BASE(StatusInfo, UINT16, NULL),
    BASE(LastErrorCode, UINT32, NULL),
    BASE(ErrorDescription, STRING, NULL),
    BASE(ErrorCleared, BOOLEAN, NULL),
    BASE_ARRAY(OtherIdentifyingInfo, STRING, NULL),
    BASE(PowerOnHours, UINT64, NULL),
    BASE(TotalPowerOnHours, UINT64, NULL),
    BASE_ARRAY(IdentifyingDescriptions, STRING, NULL),
    BASE_ARRAY(AdditionalAvailability, UINT16, "6"),
    BASE(MaxQuiesceTime, UINT64, NULL),
    ITEMS(GuestExchangeItems),
    ITEMS(GuestIntrinsicExchangeItems),
};

static const struct kvpbus_cim_property setting_data[] = {
    OWN(DisableHostKVPItems, BOOLEAN, NULL),
    KEY(InstanceID, STRING, NULL),
    BASE(Caption, STRING, "Key-Value Pair Exchange"),
    BASE(Description, STRING, "Microsoft Key-Value Pair Exchange Service Setting Data"),
    BASE(ElementName, STRING, "Key-Value Pair Exchange"),
    BASE(ResourceType, UINT16, "1"),
    BASE(OtherResourceType, STRING, "Microsoft:Hyper-V:Key-Value Pair Exchange Component"),
    BASE(ResourceSubType, STRING, NULL),
    BASE(PoolID, STRING, NULL),
    BASE(ConsumerVisibility, UINT16, "3"),
    BASE_ARRAY(HostResource, STRING, NULL),
    BASE(AllocationUnits, STRING, "count"),
    BASE(VirtualQuantity, UINT64, "1"),
    BASE(Reservation, UINT64, "1"),
    BASE(Limit, UINT64, "1"),
    BASE(Weight, UINT32, "0"),
    BASE(AutomaticAllocation, BOOLEAN, "TRUE"),
    BASE(AutomaticDeallocation, BOOLEAN, "TRUE"),
    BASE(Parent, STRING, NULL),
    BASE_ARRAY(Connection, STRING, NULL),
    BASE(Address, STRING, NULL),
    BASE(MappingBehavior, UINT16, NULL),
    BASE(AddressOnParent, STRING, NULL),
    BASE(VirtualQuantityUnits, STRING, "count"),
    OWN(EnabledState, UINT16, "2"),
    ITEMS(HostExchangeItems),
    ITEMS(HostOnlyItems),
};

static const struct kvpbus_cim_property data_item[] = {
    BASE(Caption, STRING, NULL),     OWN(Data, STRING, NULL),       BASE(Description, STRING, NULL),
    BASE(ElementName, STRING, NULL), KEY(InstanceID, STRING, NULL), OWN(Name, STRING, NULL),
    OWN(Source, UINT16, NULL),
};

static const struct kvpbus_cim_property job[] = {
    KEY(InstanceID, STRING, NULL),
    BASE(Caption, STRING, NULL),
    BASE(Description, STRING, NULL),
    BASE(ElementName, STRING, NULL),
    BASE(InstallDate, DATETIME, NULL),
    BASE(Name, STRING, NULL),
    STATUS("2", "OK", "5"),
    BASE(JobStatus, STRING, NULL),
    BASE(TimeSubmitted, DATETIME, NULL),
    BASE(ScheduledStartTime, DATETIME, NULL),
    BASE(StartTime, DATETIME, NULL),
    BASE(ElapsedTime, DATETIME, NULL),
    BASE(JobRunTimes, UINT32, "1"),
    BASE(RunMonth, UINT8, NULL),
    BASE(RunDay, SINT8, NULL),
    BASE(RunDayOfWeek, SINT8, NULL),
    BASE(RunStartInterval, DATETIME, NULL),
    BASE(LocalOrUtcTime, UINT16, NULL),
    BASE(UntilTime, DATETIME, NULL),
    BASE(Notify, STRING, NULL),
    BASE(Owner, STRING, NULL),
    BASE(Priority, UINT32, NULL),
    BASE(PercentComplete, UINT16, NULL),
    BASE(DeleteOnCompletion, BOOLEAN, NULL),
    BASE(ErrorCode, UINT16, NULL),
    BASE(ErrorDescription, STRING, NULL),
    BASE(ErrorSummaryDescription, STRING, NULL),
    BASE(RecoveryAction, UINT16, NULL),
    BASE(OtherRecoveryAction, STRING, NULL),
    BASE(JobState, UINT16, NULL),
    BASE(TimeOfLastStateChange, DATETIME, NULL),
    BASE(TimeBeforeRemoval, DATETIME, "00000000000500.000000:000"),
    OWN(Cancellable, BOOLEAN, NULL),
    OWN(JobType, UINT16, NULL),
};

static const struct kvpbus_cim_property system_device[] = {
    KEY(GroupComponent, REFERENCE, NULL),
    KEY(PartComponent, REFERENCE, NULL),
};

static const struct kvpbus_cim_property element_setting_data[] = {
    KEY(ManagedElement, REFERENCE, NULL),
    KEY(SettingData, REFERENCE, NULL),
    BASE(IsDefault, UINT16, "0"),
    BASE(IsCurrent, UINT16, "0"),
    BASE(IsNext, UINT16, "0"),
};

static const struct kvpbus_cim_property settings_define_state[] = {
    KEY(ManagedElement, REFERENCE, NULL),
    KEY(SettingData, REFERENCE, NULL),
};

static const struct kvpbus_cim_property kvp_in[] = {
    OWN_ARRAY(DataItems, STRING, NULL),
    OWN(TargetSystem, REFERENCE, NULL),
};

static const struct kvpbus_cim_property kvp_out[] = {
    OWN(Job, REFERENCE, NULL),
    OWN(ReturnValue, UINT32, NULL),
};

static const struct kvpbus_cim_class kvp_in_class = {
    .name = "__PARAMETERS",
    .embedded = true,
    .properties = kvp_in,
    .property_count = COUNT(kvp_in),
};

static const struct kvpbus_cim_class kvp_out_class = {
    .name = "__PARAMETERS",
    .embedded = true,
    .properties = kvp_out,
    .property_count = COUNT(kvp_out),
};

static const struct kvpbus_cim_method management_methods[] = {
    {"AddKvpItems", &kvp_in_class, &kvp_out_class},
    {"ModifyKvpItems", &kvp_in_class, &kvp_out_class},
    {"RemoveKvpItems", &kvp_in_class, &kvp_out_class},
};

#define CLASS(name_, properties_, ...)                                    \
    .name = (name_), .bases = {__VA_ARGS__}, .properties = (properties_), \
    .property_count = COUNT(properties_)

#define ELEMENT "CIM_ManagedElement"
#define SYSTEM_ELEMENT "CIM_ManagedSystemElement", ELEMENT
#define ENABLED_ELEMENT "CIM_EnabledLogicalElement", "CIM_LogicalElement", SYSTEM_ELEMENT

static const struct kvpbus_cim_class classes[] = {
    {CLASS("Msvm_ComputerSystem", computer_system, "CIM_ComputerSystem", "CIM_System",
           ENABLED_ELEMENT)},
    {CLASS("Msvm_VirtualSystemManagementService", management_service,
           "CIM_VirtualSystemManagementService", "CIM_Service", ENABLED_ELEMENT),
     .methods = management_methods, .method_count = COUNT(management_methods)},
    {CLASS("Msvm_KvpExchangeComponent", component, "CIM_LogicalDevice", ENABLED_ELEMENT)},
    {CLASS("Msvm_KvpExchangeComponentSettingData", setting_data,
           "CIM_ResourceAllocationSettingData", "CIM_SettingData", ELEMENT)},
    {CLASS("Msvm_KvpExchangeDataItem", data_item, ELEMENT), .embedded = true},
    {CLASS("Msvm_ConcreteJob", job, "CIM_ConcreteJob", "CIM_Job", "CIM_LogicalElement",
           SYSTEM_ELEMENT)},
    {CLASS("Msvm_SystemDevice", system_device, "CIM_SystemDevice", "CIM_SystemComponent",
           "CIM_Component"),
     .association = true},
    {CLASS("Msvm_ElementSettingData", element_setting_data, "CIM_ElementSettingData"),
     .association = true},
    {CLASS("Msvm_SettingsDefineState", settings_define_state, "CIM_SettingsDefineState"),
     .association = true},
};

size_t kvpbus_cim_class_count(void)
{
    return COUNT(classes);
}

const struct kvpbus_cim_class *kvpbus_cim_class_at(size_t index)
{
    return &classes[index];
}

const struct kvpbus_cim_class *kvpbus_cim_class_find(const char *name)
{
    for (size_t i = 0; i < COUNT(classes); i++)
        if (kvpbus_cim_compare(classes[i].name, name) == 0)
            return &classes[i];
    return NULL;
}
