namespace Vmm.Devices;

/// <summary>
/// Where devices send the guest's wish to be reset or switched off. Called on a vCPU thread in the middle of an access:
/// note it, and let no vCPU run another guest instruction. The first request counts; later ones may come and mean
/// nothing.
/// </summary>
public interface IPowerControl
{
    /// <summary>The guest asked for a reset of the machine.</summary>
    void RequestReset();

    /// <summary>The guest asked to be switched off.</summary>
    void RequestPowerOff();
}
