package aws

import (
	"context"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// emptyRest takes from the user what no role gives it but somebody may have: a password, devices,
// certificates, keys for other services. It is asked for only when IAM refuses to delete a user who
// looks empty, so that the usual permissions suffice as long as nobody does that. What may not be looked
// at is left, and told in denied.
func (u *user) emptyRest(ctx context.Context) (denied, err error) {
	for _, step := range []func(context.Context) error{
		u.deletePassword, u.deactivateDevices, u.deleteCertificates, u.deleteSSHKeys, u.deleteServiceCredentials,
	} {
		switch err := unlessAbsent(step(ctx)); {
		case strings.HasPrefix(codeOf(err), "AccessDenied"):
			denied = err
		case err != nil:
			return nil, err
		}
	}
	return denied, nil
}

func (u *user) deletePassword(ctx context.Context) error {
	_, err := callIAM(ctx, u.session, "DeleteLoginProfile", (*iam.Client).DeleteLoginProfile, &iam.DeleteLoginProfileInput{UserName: &u.name})
	return err
}

func (u *user) deactivateDevices(ctx context.Context) error {
	list, err := pages(func(marker *string) ([]types.MFADevice, *string, error) {
		out, err := callIAM(ctx, u.session, "ListMFADevices", (*iam.Client).ListMFADevices,
			&iam.ListMFADevicesInput{UserName: &u.name, Marker: marker})
		if err != nil {
			return nil, nil, err
		}
		return out.MFADevices, next(out.IsTruncated, out.Marker), nil
	})
	if err != nil {
		return err
	}
	return each(idsOf(list, func(d types.MFADevice) *string { return d.SerialNumber }), func(serial string) error {
		_, err := callIAM(ctx, u.session, "DeactivateMFADevice", (*iam.Client).DeactivateMFADevice,
			&iam.DeactivateMFADeviceInput{UserName: &u.name, SerialNumber: &serial})
		return err
	})
}

func (u *user) deleteCertificates(ctx context.Context) error {
	list, err := pages(func(marker *string) ([]types.SigningCertificate, *string, error) {
		out, err := callIAM(ctx, u.session, "ListSigningCertificates", (*iam.Client).ListSigningCertificates,
			&iam.ListSigningCertificatesInput{UserName: &u.name, Marker: marker})
		if err != nil {
			return nil, nil, err
		}
		return out.Certificates, next(out.IsTruncated, out.Marker), nil
	})
	if err != nil {
		return err
	}
	return each(idsOf(list, func(c types.SigningCertificate) *string { return c.CertificateId }), func(id string) error {
		_, err := callIAM(ctx, u.session, "DeleteSigningCertificate", (*iam.Client).DeleteSigningCertificate,
			&iam.DeleteSigningCertificateInput{UserName: &u.name, CertificateId: &id})
		return err
	})
}

func (u *user) deleteSSHKeys(ctx context.Context) error {
	list, err := pages(func(marker *string) ([]types.SSHPublicKeyMetadata, *string, error) {
		out, err := callIAM(ctx, u.session, "ListSSHPublicKeys", (*iam.Client).ListSSHPublicKeys,
			&iam.ListSSHPublicKeysInput{UserName: &u.name, Marker: marker})
		if err != nil {
			return nil, nil, err
		}
		return out.SSHPublicKeys, next(out.IsTruncated, out.Marker), nil
	})
	if err != nil {
		return err
	}
	return each(idsOf(list, func(k types.SSHPublicKeyMetadata) *string { return k.SSHPublicKeyId }), func(id string) error {
		_, err := callIAM(ctx, u.session, "DeleteSSHPublicKey", (*iam.Client).DeleteSSHPublicKey,
			&iam.DeleteSSHPublicKeyInput{UserName: &u.name, SSHPublicKeyId: &id})
		return err
	})
}

func (u *user) deleteServiceCredentials(ctx context.Context) error {
	list, err := pages(func(marker *string) ([]types.ServiceSpecificCredentialMetadata, *string, error) {
		out, err := callIAM(ctx, u.session, "ListServiceSpecificCredentials", (*iam.Client).ListServiceSpecificCredentials,
			&iam.ListServiceSpecificCredentialsInput{UserName: &u.name, Marker: marker})
		if err != nil {
			return nil, nil, err
		}
		return out.ServiceSpecificCredentials, next(out.IsTruncated, out.Marker), nil
	})
	if err != nil {
		return err
	}
	return each(idsOf(list, func(c types.ServiceSpecificCredentialMetadata) *string { return c.ServiceSpecificCredentialId }), func(id string) error {
		_, err := callIAM(ctx, u.session, "DeleteServiceSpecificCredential", (*iam.Client).DeleteServiceSpecificCredential,
			&iam.DeleteServiceSpecificCredentialInput{UserName: &u.name, ServiceSpecificCredentialId: &id})
		return err
	})
}

func idsOf[T any](list []T, id func(T) *string) []string {
	var ids []string
	for _, item := range list {
		ids = append(ids, awssdk.ToString(id(item)))
	}
	return ids
}
