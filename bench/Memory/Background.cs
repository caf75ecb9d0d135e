using System.Diagnostics;
using System.Globalization;
using Cloning.Isolation;
using Kvm.Interop;

namespace Memory;

/// <summary>
/// A process that writes memory as fast as it can, at nice 19, in a shadow's place: a child of the instance's process, regulated as a
/// shadow is, with its one thread in the place of the vCPUs, or not.
/// </summary>
internal sealed class Background : IDisposable
{
    private readonly Process _process;

    /// <summary>Starts it, unregulated, and waits until it works.</summary>
    public Background()
    {
        _process = Process.Start(new ProcessStartInfo("dotnet", [Environment.GetCommandLineArgs()[0], "background"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        if (_process.StandardOutput.ReadLine() is null) throw new InvalidOperationException("the background did not start");
    }

    /// <summary>Begins a phase.</summary>
    /// <returns>How many MiB a second it has written in the one before.</returns>
    public double Begin(bool regulated)
    {
        _process.StandardInput.WriteLine(regulated ? "regulated" : "free");
        return double.Parse(_process.StandardOutput.ReadLine()!, CultureInfo.InvariantCulture);
    }

    /// <summary>Ends it.</summary>
    public void Dispose()
    {
        _process.StandardInput.Close();
        _process.WaitForExit();
        _process.Dispose();
    }

    /// <summary>What the process does.</summary>
    public static void Run()
    {
        _ = Libc.SetNice(0, 19); // threads started from here on, too
        long blocks = 0;
        bool regulated = false, stopped = false, ended = false;
        using ManualResetEventSlim go = new(true), stands = new(), works = new();
        int thread = 0;
        Thread load = new(() =>
        {
            thread = Libc.gettid();
            Streams.Write(GoesOn);
        });
        load.Start();
        works.Wait();
        int instance = Libc.getppid();
        using MemoryProbe probe = new();
        using (new MemoryRegulator(() => Volatile.Read(ref regulated), Stop, Go, probe.Measure, () => Libc.CpuTimeOf(instance), () => Libc.CpuTimeOfThread(thread)))
        {
            Console.WriteLine("ready");
            (long from, long start) = (Volatile.Read(ref blocks), Stopwatch.GetTimestamp());
            while (Console.ReadLine() is { } phase)
            {
                long now = Volatile.Read(ref blocks);
                Console.WriteLine(((now - from) / Stopwatch.GetElapsedTime(start).TotalSeconds).ToString(CultureInfo.InvariantCulture));
                (from, start) = (now, Stopwatch.GetTimestamp());
                Volatile.Write(ref regulated, phase == "regulated");
            }
        }

        Volatile.Write(ref ended, true);
        load.Join();

        bool GoesOn()
        {
            works.Set();
            Volatile.Write(ref blocks, blocks + 1);
            if (Volatile.Read(ref stopped))
            {
                stands.Set();
                go.Wait();
            }

            return !Volatile.Read(ref ended);
        }

        bool Stop()
        {
            stands.Reset();
            go.Reset();
            Volatile.Write(ref stopped, true);
            stands.Wait();
            return true;
        }

        void Go()
        {
            Volatile.Write(ref stopped, false);
            go.Set();
        }
    }
}
