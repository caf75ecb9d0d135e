using System.Diagnostics;
using Cloning.Instances;
using Cloning.Isolation;
using Kvm.Interop;
using VirtioBlk.Turns;
using Vmm.Machines;

namespace Cloning.Shadow;

/// <summary>The instance's hold on its shadow: a child process of the same binary, and the link to it.</summary>
public sealed class ShadowHandle : IDisposable
{
    private readonly Process _process;
    private readonly ShadowLink _link;
    private ShadowIsolation? _isolation;

    private ShadowHandle(Process process, ShadowLink link)
    {
        _process = process;
        _link = link;
    }

    /// <summary>The program to run as a shadow: this one, except in tests, whose process is not the product.</summary>
    internal static string? Executable { get; set; } = Environment.ProcessPath;

    /// <summary>Its process id.</summary>
    public int Pid => _process.Id;

    /// <summary>Starts a shadow and waits until it says that it is able to work.</summary>
    /// <param name="config">The instance.</param>
    /// <param name="foreground">The instance's use of the host's disks.</param>
    /// <param name="priority">What it is to have of the host.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="ShadowException">It did not start, or cannot make machines.</exception>
    /// <exception cref="OperationCanceledException">Given up.</exception>
    public static ShadowHandle Start(
        InstanceConfig config, DiskActivity foreground, RebootPriority priority, CancellationToken cancellation) =>
        Start(config, foreground, priority, Executable ?? "/proc/self/exe", cancellation);

    /// <inheritdoc cref="Start(InstanceConfig, DiskActivity, RebootPriority, CancellationToken)"/>
    internal static ShadowHandle Start(
        InstanceConfig config, DiskActivity foreground, RebootPriority priority, string program, CancellationToken cancellation)
    {
        (SafeFd ours, SafeFd theirs) = UnixSocket.CreatePair();
        ShadowLink link = new(ours);
        Process process;
        using (theirs)
        {
            ProcessStartInfo start = new(program) { UseShellExecute = false };
            start.ArgumentList.Add("shadow");
            start.ArgumentList.Add("--fd");
            start.ArgumentList.Add(theirs.Fd.ToString(provider: null));
            process = ChildProcess.Start(start, theirs);
        }

        ShadowHandle handle = new(process, link);
        try
        {
            Task<ShadowMessage?> first = Task.Run(() => link.Receive([]));
            first.Wait(cancellation);
            switch (first.Result)
            {
                case ShadowMessage.Hello hello:
                    if (hello.StateVersion != MachineState.CurrentVersion) throw Foreign(hello.StateVersion);
                    handle._isolation = ShadowIsolation.Apply(
                        new IsolationHost(), config.Name, process.Id, (long)MachineBuilder.MemoryBytes(config), foreground, priority);
                    return handle;
                case ShadowMessage.Failed failed:
                    throw new ShadowException(failed.Reason);
                default:
                    throw new ShadowException("The shadow process ended before it began");
            }
        }
        catch
        {
            handle.Dispose();
            throw;
        }
    }

    /// <summary>How it is kept off what the instance uses.</summary>
    public IsolationReport Isolation => _isolation!.Report;

    /// <summary>Gives it the next higher priority, if there is one. Any thread.</summary>
    public void Raise() => _isolation!.Raise();

    /// <summary>Sends a message.</summary>
    /// <exception cref="ShadowException">The shadow is gone.</exception>
    public void Send(ShadowMessage message, params ReadOnlySpan<SafeFd> descriptors)
    {
        try
        {
            _link.Send(message, descriptors);
        }
        catch (IOException e)
        {
            throw new ShadowException("The shadow process is gone", e);
        }
    }

    /// <summary>Tells it that its OS is up. If it is gone already, whoever waits for its state learns that there.</summary>
    public void CountAsReady()
    {
        try
        {
            _link.Send(new ShadowMessage.CountsAsReady());
        }
        catch (IOException)
        {
        }
    }

    /// <summary>Waits for its state at ready, reporting the phases on the way. <see cref="EndWhen"/> is what ends it early.</summary>
    /// <exception cref="ShadowException">It failed or died; the message says why.</exception>
    /// <exception cref="OperationCanceledException">Given up.</exception>
    public ShadowMessage.Ready WaitReady(Action<ShadowMessage.Phase> phase, CancellationToken cancellation)
    {
        while (true)
        {
            ShadowMessage? message;
            try
            {
                message = _link.Receive([]);
            }
            catch (IOException) when (cancellation.IsCancellationRequested)
            {
                message = null;
            }
            catch (IOException e)
            {
                throw new ShadowException("The shadow process broke off", e);
            }

            cancellation.ThrowIfCancellationRequested();
            switch (message)
            {
                case ShadowMessage.Phase step:
                    phase(step);
                    break;
                case ShadowMessage.Ready ready:
                    _isolation?.Lift();
                    return ready;
                case ShadowMessage.Failed failed:
                    throw new ShadowException(failed.Reason, lastLines: failed.LastLines);
                default:
                    _isolation?.Lift();
                    _process.WaitForExit();
                    throw new ShadowException($"The shadow process died (exit status {_process.ExitCode})");
            }
        }
    }

    /// <summary>Waits until the process is gone: from then on nobody but this process can touch the new memory or the overlay.</summary>
    /// <exception cref="ShadowException">It does not end.</exception>
    public void WaitGone()
    {
        if (_process.WaitForExit(TimeSpan.FromSeconds(10))) return;
        throw new ShadowException("The shadow process did not end after handing over");
    }

    /// <summary>Ends the process when the reboot is given up: that is what wakes whoever waits for a message, or to send one.</summary>
    /// <returns>Disposing ends that.</returns>
    public IDisposable EndWhen(CancellationToken givenUp) => givenUp.Register(Kill);

    /// <summary>Ends the process, whatever it is doing, and waits for that; removes its cgroup.</summary>
    public void Dispose()
    {
        Kill();
        _process.WaitForExit();
        _process.Dispose();
        _link.Dispose();
        _isolation?.Dispose();
    }

    /// <summary>An upgrade has replaced the program under a running instance.</summary>
    internal static ShadowException Foreign(int version) => new(
        $"the shadow process is a different bgkvm: its machine state has version {version}, this one's {MachineState.CurrentVersion}; "
        + "stop the instance and start it with the new bgkvm");

    private void Kill()
    {
        try
        {
            if (_process.HasExited) return;
            _isolation?.Lift();
            _process.Kill();
        }
        catch (InvalidOperationException)
        {
            // It ended between the question and the signal.
        }
    }
}
