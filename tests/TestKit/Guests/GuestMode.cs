namespace TestKit.Guests;

/// <summary>The processor mode a test guest begins in. Ring 0 in either: all that a software KVM runs.</summary>
public enum GuestMode
{
    /// <summary>16-bit real mode, as after reset but at <see cref="GuestMap.Code"/>.</summary>
    Real16,

    /// <summary>64-bit mode, all memory (and the device hole) mapped one to one.</summary>
    Long64,
}
