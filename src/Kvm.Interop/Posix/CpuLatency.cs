namespace Kvm.Interop;

/// <summary>
/// How long the host's idle processors may take to wake up: PM QoS (Documentation/power/pm_qos_interface.rst). A processor that has
/// gone to sleep takes time to come back; a virtual one as long as its host lets it wait (docs/pauses.md has figures).
/// </summary>
public static class CpuLatency
{
    /// <summary>The kernel's device. It is root's, unless the administrator has given it to others.</summary>
    public const string Device = "/dev/cpu_dma_latency";

    /// <summary>Lets no processor sleep, idle ones wait awake, until the handle is disposed.</summary>
    /// <returns>Null where the host does not let this process ask for it.</returns>
    public static unsafe SafeFd? KeepAwake()
    {
        int fd = Libc.open(Device, Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        if (fd < 0) return null;
        SafeFd request = new(fd);
        int micros = 0;
        // SAFETY: the kernel reads an s32, a local.
        if (Libc.write(fd, &micros, sizeof(int)) == sizeof(int)) return request;
        request.Dispose();
        return null;
    }
}
