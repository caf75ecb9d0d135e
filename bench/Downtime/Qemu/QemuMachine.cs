using System.Diagnostics;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using CowMemory;

namespace Downtime.Qemu;

/// <summary>A QEMU process with the guest of <see cref="ToucherBios"/>: its smallest machine, KVM, one vCPU, no disk, no display.</summary>
internal sealed class QemuMachine : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("bgkvm-qemu-").FullName;
    private readonly Process _process;
    private readonly Socket _serial;

    /// <summary>Starts it.</summary>
    /// <param name="memoryMiB">Its memory.</param>
    /// <param name="sharedMemory">A file for its memory, which another one can map too; null: memory of its own.</param>
    /// <param name="incoming">Whether it waits for the state of another.</param>
    internal QemuMachine(int memoryMiB, string? sharedMemory = null, bool incoming = false)
    {
        string bios = Path.Combine(_directory, "bios");
        File.WriteAllBytes(bios, ToucherBios.Build(new MemoryLayout((ulong)memoryMiB << 20)));
        List<string> arguments =
        [
            "-M", "microvm,isa-serial=on,pic=on,pit=on,rtc=on" + (sharedMemory is null ? "" : ",memory-backend=ram"),
            // A software KVM shows the host's IA32_ARCH_CAPABILITIES and does not let it be set.
            "-accel", "kvm", "-cpu", "host,-arch-capabilities", "-smp", "1", "-m", $"{memoryMiB}M", "-bios", bios,
            "-nodefaults", "-no-user-config", "-display", "none",
            "-chardev", $"socket,id=serial,path={_directory}/serial,server=on,wait=off", "-serial", "chardev:serial",
            "-chardev", $"socket,id=qmp,path={_directory}/qmp,server=on,wait=off", "-mon", "chardev=qmp,mode=control",
        ];
        if (sharedMemory is not null)
            arguments.AddRange(["-object", $"memory-backend-file,id=ram,mem-path={sharedMemory},size={memoryMiB}M,share=on"]);
        if (incoming) arguments.AddRange(["-incoming", "defer"]);
        // No benchmark, no QEMU: the kernel sees to it should this process be killed.
        _process = Process.Start("setpriv", ["--pdeathsig", "KILL", "qemu-system-x86_64", .. arguments]);
        try
        {
            Qmp = new QmpClient(Connect("qmp"));
            _serial = Connect("serial");
            Capability("events");
            // Out of the box QEMU throttles a migration to 128 MiB a second, and stops only for what it can send within 300 ms.
            Qmp.Execute("migrate-set-parameters", new JsonObject { ["max-bandwidth"] = 1L << 40 });
            if (!incoming) AwaitSerial(ToucherBios.Filled);
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>Its control channel.</summary>
    internal QmpClient Qmp { get; }

    /// <summary>Where it can be asked to listen for another one's state.</summary>
    internal string StateSocket => Path.Combine(_directory, "state");

    /// <summary>Turns a migration capability on or off.</summary>
    internal void Capability(string name, bool on = true) => Qmp.Execute("migrate-set-capabilities", new JsonObject
    {
        ["capabilities"] = new JsonArray(new JsonObject { ["capability"] = name, ["state"] = on }),
    });

    /// <summary>Returns once the guest is seen to run: it says so on its serial port.</summary>
    internal void AwaitAlive()
    {
        while (_serial.Available > 0) _serial.Receive(new byte[4096]);
        AwaitSerial(ToucherBios.Alive);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Qmp?.Dispose();
        _serial?.Dispose();
        _process.Kill();
        _process.WaitForExit();
        _process.Dispose();
        Directory.Delete(_directory, recursive: true);
    }

    private Socket Connect(string name)
    {
        UnixDomainSocketEndPoint at = new(Path.Combine(_directory, name));
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        // The socket is there soon after the process has started; nothing tells when.
        bool connected = SpinWait.SpinUntil(() => _process.HasExited || TryConnect(), TimeSpan.FromSeconds(30));
        if (connected && !_process.HasExited) return socket;
        socket.Dispose();
        throw new InvalidOperationException("QEMU does not start");

        bool TryConnect()
        {
            try
            {
                socket.Connect(at);
                return true;
            }
            catch (SocketException)
            {
                return false;
            }
        }
    }

    private void AwaitSerial(byte wanted)
    {
        byte[] one = new byte[1];
        do
        {
            if (_serial.Receive(one) == 0) throw new InvalidOperationException("QEMU has ended");
        }
        while (one[0] != wanted);
    }
}
