using CowMemory;

namespace TestKit.Guests;

/// <summary>Where the parts of a test guest lie. All below 1 MiB; everything above belongs to the test.</summary>
public static class GuestMap
{
    /// <summary>Real-mode interrupt vectors.</summary>
    public static readonly Gpa Vectors = new(0);
    /// <summary>The mailbox: see <see cref="GuestMailbox"/>.</summary>
    public static readonly Gpa Mailbox = new(0x1000);
    /// <summary>Top of the stack, which grows down from here.</summary>
    public static readonly Gpa StackTop = new(0x8000);
    /// <summary>The program and its entry point: at most 64 KiB.</summary>
    public static readonly Gpa Code = new(0x1_0000);
    /// <summary>Page tables of <see cref="GuestMode.Long64"/>.</summary>
    public static readonly Gpa PageTables = new(0x2_0000);
    /// <summary>First address that the kit leaves alone: 1 MiB.</summary>
    public static readonly Gpa Free = new(0x10_0000);
}
