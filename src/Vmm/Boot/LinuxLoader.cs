using System.Buffers.Binary;
using System.Text;
using CowMemory;

namespace Vmm.Boot;

/// <summary>Loads a Linux kernel the way its 64-bit boot protocol asks for (Documentation/arch/x86/boot.rst).</summary>
public static class LinuxLoader
{
    private const int HeadSize = 4096;

    /// <summary>Reads kernel and initrd into guest memory, and writes all the kernel needs to start.</summary>
    /// <param name="config">What to boot.</param>
    /// <param name="memory">The machine's memory. What it held before does not matter.</param>
    /// <param name="rsdp">From <see cref="Acpi.AcpiTables.WriteTo"/>.</param>
    /// <returns>How to start the boot processor.</returns>
    /// <exception cref="BootImageException">These files cannot be booted on this machine.</exception>
    public static BootEntry Load(LinuxBootConfig config, GuestMemory memory, Gpa rsdp)
    {
        KernelImage kernel = LoadKernel(config.KernelPath, memory);
        (ulong start, ulong length) initrd = config.InitrdPath is { } path ? LoadInitrd(path, kernel, memory) : default;
        WriteCommandLine(config.CommandLine, kernel, memory);
        WriteZeroPage(kernel, initrd, rsdp, memory);
        LongMode.Write(memory);
        ResetVector.Write(memory);
        return new BootEntry(
            Rip: new Gpa(kernel.Entry),
            Rsi: new Gpa(BootLayout.BootParams),
            Rsp: new Gpa(BootLayout.StackTop),
            Cr3: new Gpa(BootLayout.PageMap4),
            GdtBase: new Gpa(BootLayout.Gdt),
            LongMode.GdtLimit, LongMode.CodeSelector, LongMode.DataSelector);
    }

    private static KernelImage LoadKernel(string path, GuestMemory memory)
    {
        using BootFile file = BootFile.Open("kernel", path);
        Span<byte> head = stackalloc byte[HeadSize];
        head = head[..(int)Math.Min(HeadSize, file.Length)];
        file.Read(0, head);
        if (BzImage.Matches(head)) return BzImage.Load(file, head, memory);
        if (ElfKernel.Matches(head)) return ElfKernel.Load(file, head, memory);
        string? kind = ImageKind.Of(head);
        throw file.Bad("is not a Linux kernel for x86-64: "
            + (kind is null ? "neither a bzImage nor an ELF vmlinux" : $"it looks like {kind}"));
    }

    /// <summary>As high as the kernel allows: out of the way of the kernel's own growth from below.</summary>
    private static (ulong Start, ulong Length) LoadInitrd(string path, KernelImage kernel, GuestMemory memory)
    {
        using BootFile file = BootFile.Open("initrd", path);
        ulong length = (ulong)file.Length;
        ulong memoryEnd = memory.Layout.Regions[0].Length;
        ulong top = Math.Min(kernel.InitrdLimit + 1, memoryEnd);
        ulong bottom = AlignUp(kernel.End);
        if (bottom > top || length > top - bottom) throw file.TooLarge(bottom, length, top);
        ulong start = (top - length) & ~(MemoryLayout.PageSize - 1);
        file.Read(0, memory, start, length);
        return (start, length);
    }

    private static void WriteCommandLine(string commandLine, KernelImage kernel, GuestMemory memory)
    {
        int length = Encoding.UTF8.GetByteCount(commandLine);
        ulong limit = Math.Min(kernel.CommandLineLimit, BootLayout.CommandLineEnd - BootLayout.CommandLine - 1);
        if ((ulong)length > limit)
            throw new BootImageException($"The command line is too long: {length} bytes, and the kernel takes {limit}");
        if (commandLine.Contains('\0')) throw new BootImageException("The command line contains a zero character");
        Span<byte> target = memory.Write(new Gpa(BootLayout.CommandLine), length + 1);
        Encoding.UTF8.GetBytes(commandLine, target);
        target[length] = 0;
    }

    private static void WriteZeroPage(
        KernelImage kernel, (ulong Start, ulong Length) initrd, Gpa rsdp, GuestMemory memory)
    {
        Span<byte> page = memory.Write(new Gpa(BootLayout.BootParams), SetupHeader.ZeroPageSize);
        page.Clear();
        kernel.SetupHeader.CopyTo(page[SetupHeader.Start..]);
        page[SetupHeader.LoaderType] = SetupHeader.LoaderUndefined;
        page[SetupHeader.LoadFlags] |= SetupHeader.LoadedHigh;
        BinaryPrimitives.WriteUInt32LittleEndian(page[SetupHeader.RamdiskImage..], (uint)initrd.Start);
        BinaryPrimitives.WriteUInt32LittleEndian(page[SetupHeader.RamdiskSize..], (uint)initrd.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(page[SetupHeader.CommandLine..], (uint)BootLayout.CommandLine);
        BinaryPrimitives.WriteUInt64LittleEndian(page[SetupHeader.AcpiRsdpAddress..], rsdp.Value);

        IReadOnlyList<E820Entry> map = E820Map.For(memory.Layout);
        page[SetupHeader.E820Entries] = (byte)map.Count;
        for (int i = 0; i < map.Count; i++)
        {
            Span<byte> entry = page[(SetupHeader.E820Table + (i * SetupHeader.E820EntrySize))..];
            BinaryPrimitives.WriteUInt64LittleEndian(entry, map[i].Start);
            BinaryPrimitives.WriteUInt64LittleEndian(entry[8..], map[i].Length);
            BinaryPrimitives.WriteUInt32LittleEndian(entry[16..], (uint)map[i].Type);
        }
    }

    private static ulong AlignUp(ulong value) => (value + MemoryLayout.PageSize - 1) & ~(MemoryLayout.PageSize - 1);
}
